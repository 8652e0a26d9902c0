"""Run the Dockerfile's steps where no container engine is: in a clean environment, as another user where this one is root.

    python hosting/steps.py              # installs everything anew, as the image does; some gigabytes
    python hosting/steps.py --beside     # takes the libraries from the environment that runs this, and installs the wheel alone

Folders of the image become folders below a temporary one. Steps that make the user are left out; the server runs as `nobody` where
this may be said, from folders that are not its own, and has to answer the image's own health check and show its first page.
"""

import argparse
import json
import os
import pwd
import re
import shlex
import shutil
import site
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("source", "wheels", "sets", "compiled", "tmp")
OF_THE_IMAGE = re.compile(r"&& useradd [^&]*&& install [^&]*$")
SECONDS = 180


def instructions(text: str) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile and what stands behind each, lines that go on put together.

    >>> instructions("# a\\nRUN a \\\\\\n    && b\\nUSER duo")
    [('RUN', 'a && b'), ('USER', 'duo')]
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(first, rest.strip()) for first, _, rest in (line.partition(" ") for line in whole.splitlines())]


def context(target: Path) -> None:
    """Copy what .dockerignore lets into the image."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    again = [rule[1:] for rule in rules if rule.startswith("!")]
    never = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    for rule in again:
        for source in ROOT.glob(rule):
            place = target / source.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            ignored = shutil.ignore_patterns(*never)
            shutil.copytree(source, place, ignore=ignored) if source.is_dir() else shutil.copy2(source, place)


def environment(made: Path, beside: bool) -> dict[str, str]:
    """A clean environment: its own Python, nothing of this process's variables."""
    venv.create(made / "python", with_pip=True, symlinks=True)
    if beside:
        packages = next((made / "python").glob("lib/python*/site-packages"))
        (packages / "beside.pth").write_text("".join(f"{folder}\n" for folder in site.getsitepackages()))
    kept = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "http", "HTTP", "SSL_"))}
    return {**kept, "PATH": f"{made / 'python' / 'bin'}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def placed(text: str, made: Path) -> str:
    """The same with the image's folders below the temporary one."""
    return re.sub(rf"(?<![\w.])/({'|'.join(FOLDERS)})(?=[/\s\"';]|$)", rf"{made}/\1", text)


def run(made: Path, beside: bool) -> dict[str, object]:
    """Take all steps; the variables, the health check and the command in the end."""
    known: dict[str, object] = {"variables": environment(made, beside)}
    variables, folder = dict[str, str](known["variables"]), made  # type: ignore[call-overload]
    for step, text in instructions((ROOT / "Dockerfile").read_text()):
        if step == "ENV":
            variables |= dict(part.partition("=")[::2] for part in shlex.split(placed(text, made)))
        elif step == "ARG":
            name, _, value = text.partition("=")
            variables[name] = os.environ.get(name, value)
        elif step == "WORKDIR":
            folder = Path(placed(text, made))
            folder.mkdir(parents=True, exist_ok=True)
        elif step == "COPY" and text == ". .":
            context(folder)
        elif step == "COPY" and "--from" not in text:
            source, target = text.split()
            shutil.copy2(ROOT / source, placed(target, made))
        elif step == "RUN":
            command = OF_THE_IMAGE.sub("", placed(text, made))
            if beside:
                command = command.replace("pip install", "pip install --no-deps --no-index")
                command = command.replace("python -m pip wheel", f"{sys.executable} -m pip wheel --no-build-isolation --no-index")
            print(f"+ {command}", flush=True)
            subprocess.run(["sh", "-euc", command], cwd=folder, env=variables, check=True)
        elif step in {"HEALTHCHECK", "CMD"}:
            known[step] = json.loads(text[text.index("[") :])
    return {**known, "variables": variables}


def served(made: Path, known: dict[str, object], port: int) -> None:
    """Start the command as nobody, from what it may not write to, until the health check passes."""
    variables = {**known["variables"], "PORT": str(port)}  # type: ignore[dict-item]
    as_nobody = {"user": pwd.getpwnam("nobody").pw_uid, "group": pwd.getpwnam("nobody").pw_gid} if os.getuid() == 0 else {}
    made.chmod(0o755)
    own = Path(tempfile.mkdtemp(dir=made / "tmp"))
    own.chmod(0o777)
    variables["HOME"] = str(own)
    with subprocess.Popen(known["CMD"], cwd=own, env=variables, extra_groups=[] if as_nobody else None, **as_nobody) as server:  # type: ignore[call-overload]
        try:
            end = time.monotonic() + SECONDS
            while subprocess.run(known["HEALTHCHECK"], env=variables, capture_output=True, check=False).returncode:  # type: ignore[call-overload]
                if server.poll() is not None or time.monotonic() > end:
                    raise SystemExit("the server did not come to answer its health check")
                time.sleep(1)
            print("the health check passes", flush=True)
        finally:
            server.terminate()
    left = [path for path in own.rglob("*") if path.is_file()]
    print(f"the server wrote {len(left)} files, all below its own /tmp")


def check_reachable(python: Path, *, as_root: bool) -> None:
    """End with a sentence where another user cannot come to the Python that this runs with."""
    closed = [folder for folder in python.parents if not folder.stat().st_mode & 0o001]
    if as_root and closed:
        raise SystemExit(
            f"expected a Python that the user nobody can run, got '{python}' below '{closed[-1]}'; run this with another"
        )


def main() -> None:
    """Take the steps, and serve what they made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", action="store_true", help="take the libraries of the environment that runs this")
    parser.add_argument("--port", type=int, default=8599)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        check_reachable(Path(sys.executable).resolve(), as_root=os.getuid() == 0)  # before gigabytes are fetched
        made = Path(folder)
        for name in FOLDERS:
            (made / name).mkdir()
        served(made, run(made, options.beside), options.port)


if __name__ == "__main__":
    main()
