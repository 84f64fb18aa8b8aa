from diffattn.cli import main

main()
