"""Many runs: kept as one small JSON file each, read back as one table."""

import json
import os
from pathlib import Path

from diffattn.config import MODEL_TYPES
from diffattn.trainer import Run, write_json


def record(run: Run, folder: str | os.PathLike) -> Path:
    """Keep what is known about a run, without its model, as a result.

    Args:
        run: a `diffattn.trainer.Run`.
        folder: where the file TYPE-seed-N.json is written.

    Returns:
        The file's path.
    """
    path = Path(folder) / f"{run.config.attention_type}-seed-{run.config.seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, run.document())
    return path


def read_results(folder: str | os.PathLike) -> dict[str, list[dict]]:
    """The results in a folder, by attention type and seed.

    Args:
        folder: where `record` has written them.

    Returns:
        A dict from attention type, in the order of `MODEL_TYPES`, to a list of
        the results' dicts (``config``, ``history``, ``metrics``,
        ``provenance``), by seed.
    """
    results = [json.loads(path.read_text()) for path in Path(folder).glob("*.json")]
    results.sort(key=lambda result: result["config"]["seed"])
    by_type = {
        name: [r for r in results if r["config"]["attention_type"] == name]
        for name in MODEL_TYPES
    }
    return {name: found for name, found in by_type.items() if found}
