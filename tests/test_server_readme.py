"""What README says of the service, done as it is written; and its container, as a linter reads it."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from emotiwave.analysis import json_schema
from tests.served import Served, serving

pytest.importorskip("fastapi", reason="emotiwave[serve] is not installed")
pytest.importorskip("emotiwave_weights_research", reason="emotiwave-weights-research is not installed")
ROOT = Path(__file__).parents[1]
(SERVED,) = re.findall(
    r"<!-- served -->\n(.*?)<!-- end of served -->", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL
)
HOST = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("readme") / "state", "--workers", "1") as found:
        yield found


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    for suffix in (".mp4", ".srt"):
        shutil.copy(ROOT / "emotiwave" / "sample" / f"sample{suffix}", tmp_path / f"clip{suffix}")
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_lines_of_curl_answer(served: Served, clip: Path) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", SERVED, flags=re.DOTALL)
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(lines) == 6
    for line in lines:
        assert line[0] == "curl"
        words = [word.replace(HOST, served.address) for word in line]
        done = subprocess.run(
            [*words, "-s", "--noproxy", "*"], cwd=clip, capture_output=True, text=True, check=True, timeout=120
        )
        found = json.loads(done.stdout)
        if "respond-async" in " ".join(line):
            assert found["status"] == "queued"
        elif line[-1].endswith("/v1/analyze"):
            jsonschema.validate(found, json_schema())
        elif line[-1].endswith("/v1/configurations"):
            assert set(found["configurations"]) == {"audio", "vision", "audio+vision"}
        else:
            assert found[0]["modalities"] == ["text", "audio", "vision"]


def test_the_python_client_answers(served: Served, clip: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", SERVED, flags=re.DOTALL)
    code = code.replace(HOST, served.address)
    done = subprocess.run([sys.executable, "-c", code], cwd=clip, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "happiness"


def test_no_request_that_the_description_allows_is_a_fault_of_the_service(served: Served, tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("st")
    if not tool.exists():
        pytest.skip("schemathesis is not installed")
    done = subprocess.run(
        [str(tool), "run", f"{served.address}/openapi.json", "--max-examples", "20", "--seed", "1", "--phases",
         "examples,coverage,fuzzing", "--checks", CHECKS],
        cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(r"\d{2,} generated, \d+ passed", done.stdout)


CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_the_container_recipe_is_clean() -> None:
    tool = Path(sys.executable).with_name("hadolint")
    if not tool.exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [str(tool), str(ROOT / "container" / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
