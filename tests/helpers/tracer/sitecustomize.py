"""Notes which files of the library a job of the workflow runs functions of.

Python imports a module of this name by itself at its start. Tests put this folder on PYTHONPATH and name a folder for
the notes by SKYSCORE_TRACE: a file for each job, JSON, with its script and the files.

It begins when the job opens its log: what runs before are imports, whether their modules are used or not. Of later
imports it leaves out what every import runs: the head of a module, functions that its own head calls, and the
`__getattr__` of a package, which Python asks before it imports one of the package's modules.
"""

import atexit
import json
import os
import sys
import threading
from pathlib import Path

OPTIMIZED = 1  # a code object of a function, and not of a module or a class body


def trace(script: str, folder: str) -> None:
    seen, files = {}, set()  # by identity: to hash code objects takes longer than to run many of them

    def note(frame, event, argument):
        code = frame.f_code
        if id(code) in seen:
            return
        seen[id(code)] = code
        if "/skyscore/" in code.co_filename and code.co_flags & OPTIMIZED and code.co_name != "__getattr__":
            caller = frame.f_back.f_code if frame.f_back else None
            if caller and caller.co_filename == code.co_filename and not caller.co_flags & OPTIMIZED:
                del seen[id(code)]  # called by the head: a later call counts
            else:
                files.add(code.co_filename)

    def write() -> None:
        sys.settrace(None)
        text = json.dumps({"script": script, "files": sorted(files)})
        Path(folder, f"{script}.{os.getpid()}.json").write_text(text)

    atexit.register(write)
    threading.settrace(note)
    sys.settrace(note)


def wait_for_log(script: str, folder: str) -> None:
    begun = []

    def watch(event, arguments):
        if event == "open" and not begun and str(arguments[0]).endswith(".log"):
            begun.append(event)
            trace(script, folder)

    sys.addaudithook(watch)


words = [word for word in sys.orig_argv if ".snakemake/scripts/" in word]
if words and "SKYSCORE_TRACE" in os.environ:
    wait_for_log(Path(words[0]).name.split(".", 1)[1].removesuffix(".py"), os.environ["SKYSCORE_TRACE"])
