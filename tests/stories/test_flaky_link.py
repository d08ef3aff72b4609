"""A link that cuts and throttles: a large blob arrives, hardly a byte is sent twice, and nobody holds it in memory."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

STORY = "import json; from bench.flaky import main; print(json.dumps(main(120, 18)))"


def test_a_blob_crosses_a_link_that_is_cut():
    printed = subprocess.check_output([sys.executable, "-c", STORY], cwd=ROOT, text=True, timeout=300)
    made = json.loads(printed.splitlines()[-1])
    assert made["status"] == "PLAN_STATUS_DONE"
    assert made["cuts"] >= 5
    assert made["again"] < 0.1
    assert max(made["peak_mib"].values()) < 200
