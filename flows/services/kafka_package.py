"""Apache Kafka from Maven Central, for the machine's Java."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from flows.services.packages import cached_package, fetched, run_tool
from flows.services.process import ServiceError

VERSION = "4.1.1"
JAVA_MIN = 17
_PACKAGE = f"kafka-{VERSION}"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

# slf4j-simple: the broker writes what it has to say to stderr, and needs no file of settings for that.
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>kafka-server</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


class Java(NamedTuple):
    """The machine's Java: its command, and its version as it gives it."""

    command: str
    version: str


def java() -> Java | None:
    """A Java that Kafka runs on: of ``JAVA_HOME``, else on the path."""
    home = os.environ.get("JAVA_HOME")
    command = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if command is None:
        return None
    try:
        said = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "((\d+)[\w.+-]*)"', said)
    return Java(command, found[1]) if found and int(found[2]) >= JAVA_MIN else None


def missing() -> str | None:
    """What this machine lacks to run Kafka, None if nothing."""
    if java() is None:
        return f"no Java {JAVA_MIN} or newer"
    return None if cached_package(_PACKAGE) or shutil.which("mvn") else "no Maven (mvn)"


def class_path() -> str:
    """The class path of the server, whose files are fetched if they are not there yet.

    Raises
    ------
    ServiceError
        They cannot be fetched.
    """
    return str(fetched(_PACKAGE, "Maven Central with mvn", _fetch) / "*")


def _fetch(folder: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise ServiceError("mvn is not on the path: install Maven (Debian: apt-get install maven)")
    work = folder / "work"
    work.mkdir()
    (work / "pom.xml").write_text(_POM, encoding="utf-8")
    command = [mvn, "--quiet", "--batch-mode", "--strict-checksums", "-Dmaven.artifact.threads=16"]
    # A repository of its own, gone afterwards: what stays is the server's files alone.
    command += [f"-Dmaven.repo.local={work / 'repository'}", _PLUGIN]
    run_tool([*command, "-DincludeScope=runtime", f"-DoutputDirectory={folder}"], work)
    shutil.rmtree(work)
