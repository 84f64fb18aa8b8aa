"""Change the package in one place at a time, and store which changes no test notices.

python results/run_mutants.py COSMIC_RAY FOLDER [AREA ...]

COSMIC_RAY is the path of that command. In FOLDER, each area has a clone of the last
commit and a session; the same call goes on with sessions that were interrupted.
"""

import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from diffattn.files import write_json
from diffattn.provenance import provenance

ROOT = Path(__file__).parents[1]
#: How many changes of each area are tried, drawn at random.
EACH = 20
#: What is changed, and the tests that should notice, the quickest first.
AREAS = {
    "scores": (
        "attention/scores attention/family attention/registry attention/product",
        "attention/test_scores attention/test_registry attention/test_family "
        "attention/test_rivals attention/test_attend attention/test_properties "
        "attention/test_places attention/test_cache attention/test_layer test_cli",
    ),
    "kernels": (
        "attention/kernels/*",
        "attention/kernels attention/test_family attention/test_attend",
    ),
    "attend": (
        "attention/attend attention/masks attention/shapes attention/places",
        "attention/test_shapes attention/test_places attention/test_causal "
        "attention/test_attend attention/test_masks attention/test_properties "
        "attention/test_layer",
    ),
    "layer": (
        "attention/layer attention/cache",
        "attention/test_cache attention/test_layer attention/test_masks "
        "attention/test_rivals training/test_layers",
    ),
    "standardization": (
        "data/standardization",
        "data/test_properties data/test_standardization data/test_texts",
    ),
    "data": (
        "data/__init__ data/imdb data/order data/recall data/reviews data/sample "
        "data/sentences data/shuffled data/texts",
        "data",
    ),
    "training": ("training/*", "training test_cli"),
}
#: Most bars in the package belong to types, where the import notices a change.
LEFT_OUT = "BitOr"


def relative(folder, names, start):
    """The paths in a clone that names without their endings stand for."""
    found = []
    for name in names.split():
        files = sorted(folder.glob(f"{start}/{name}.py")) or [folder / start / name]
        found += [str(path.relative_to(folder)) for path in files]
    return found


def clone(folder):
    """Clone the last commit, or undo the change that an interruption has left."""
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    restore = ["git", "-C", folder, "checkout", "--quiet", "--", "diffattn"]
    subprocess.run(restore, check=True)


def test_command(folder, area):
    """Pytest's, stopped by the first failure. It imports the clone's package."""
    tests = " ".join(relative(folder, AREAS[area][1], "tests"))
    return f"{sys.executable} -m pytest -x -q -p no:cacheprovider {tests}"


def keep(session, count, seed):
    """Leave `count` of the session's changes, at places drawn at random.

    A place counts once, however many operators have a change for it.
    """
    with closing(sqlite3.connect(session)) as database, database:
        rows = database.execute(
            "SELECT job_id, module_path, start_pos_row, start_pos_col, operator_name "
            "FROM mutation_specs ORDER BY module_path, start_pos_row, start_pos_col, "
            "operator_name, occurrence"
        ).fetchall()
        by_place = {}
        for job, *place, operator in rows:
            if LEFT_OUT not in operator:
                by_place.setdefault(tuple(place), []).append(job)
        draw = random.Random(seed)
        places = draw.sample(sorted(by_place), min(count, len(by_place)))
        kept = [(draw.choice(by_place[place]),) for place in places]
        database.execute("CREATE TEMPORARY TABLE kept (job_id)")
        database.executemany("INSERT INTO kept VALUES (?)", kept)
        for table in ("mutation_specs", "work_items"):
            database.execute(
                f"DELETE FROM {table} WHERE job_id NOT IN (SELECT job_id FROM kept)"
            )
    return len(by_place)


def try_area(cosmic_ray, folder, area):
    """Try the area's changes, and return what came of each."""
    folder = folder / area
    clone(folder)
    modules = relative(folder, AREAS[area][0], "diffattn")
    session, config = "mutants.sqlite", "mutants.toml"
    settings = {
        "module-path": modules,
        "timeout": 1800.0,
        "excluded-modules": [],
        "test-command": test_command(folder, area),
    }
    lines = ["[cosmic-ray]", *(f"{k} = {json.dumps(v)}" for k, v in settings.items())]
    lines += ["[cosmic-ray.distributor]", 'name = "local"']
    (folder / config).write_text("\n".join(lines) + "\n")
    places = folder / "places.txt"
    # A file changed twice in a second would be taken from its compiled copy.
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def run(*command):
        return subprocess.run(
            [cosmic_ray, *command],
            cwd=folder,
            env=environment,
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout

    if not places.exists():
        run("init", config, session)
        places.write_text(str(keep(folder / session, EACH, seed=area)))
        run("baseline", config)
    run("exec", config, session)
    results = [json.loads(line) for line in run("dump", session).splitlines()]
    return {
        "area": area,
        "places": int(places.read_text()),
        "changes": [summary(item, outcome) for item, outcome in results],
    }


def summary(item, outcome):
    """What was changed where, and whether a test noticed."""
    (mutation,) = item["mutations"]
    lines = [
        line
        for line in outcome["diff"].splitlines()
        if re.match(r"[+-](?![+-]{2} )\s*\S", line)
    ]
    return {
        "module": mutation["module_path"],
        "line": mutation["start_pos"][0],
        "change": "\n".join(lines),
        "noticed": outcome["test_outcome"] != "survived",
    }


def main():
    cosmic_ray, folder, *areas = sys.argv[1:]
    origin = provenance()
    # The clones are without what has been changed since.
    origin["commit"] = origin["commit"].removesuffix("+changes")
    folder = Path(folder).absolute() / origin["commit"]
    command = Path(cosmic_ray).absolute()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tried = pool.map(lambda area: try_area(command, folder, area), areas or AREAS)
        document = {"areas": list(tried), "provenance": origin}
    write_json(ROOT / "results" / "reliability" / "mutants.json", document)


main()
