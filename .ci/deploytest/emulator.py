"""ministack with IAM enforced, on loopback, in a clean environment."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

REGION = "eu-central-1"
# ministack's root credentials; its functions get those of their roles.
ROOT = {"AccessKeyId": "test", "SecretAccessKey": "test", "SessionToken": None}
LIMIT = 120  # seconds; ends a run that would hang, measures nothing


class Emulator:
    def __init__(self, command, port, work):
        self.url = f"http://127.0.0.1:{port}"
        self.log = Path(work, "ministack.log")
        home = Path(work, "ministack")
        home.mkdir()
        # Functions inherit this environment. Without AWS_ENDPOINT_URL in it
        # they would call real AWS.
        env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home),
            "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": ROOT["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": ROOT["SecretAccessKey"],
            "AWS_DEFAULT_REGION": REGION, "MINISTACK_REGION": REGION, "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0", "AUTH": "true",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([command], env=env, cwd=home, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def __enter__(self):
        end = time.monotonic() + LIMIT
        while True:
            try:
                with urllib.request.urlopen(self.url + "/_ministack/health", timeout=5):
                    return self
            except (urllib.error.URLError, OSError):
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise SystemExit("ministack did not start:\n" + self.log.read_text()[-4000:])
            time.sleep(0.1)

    def __exit__(self, *_):
        functions = self.functions()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in functions:
            end(pid)

    def client(self, service, credentials=ROOT):
        return boto3.client(
            service, region_name=REGION, endpoint_url=self.url,
            aws_access_key_id=credentials["AccessKeyId"], aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            config=Config(retries={"mode": "standard", "total_max_attempts": 3}, read_timeout=LIMIT),
        )

    def functions(self):
        """The processes of functions that ministack has started: its children, by /proc."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = stat.read_text().rsplit(")", 1)
                if int(rest.split()[1]) == self.process.pid and name.endswith("(bootstrap"):
                    found.append(int(stat.parent.name))
            except (OSError, ValueError, IndexError):
                continue  # it ended meanwhile
        return found

    def cold(self):
        """Ends the functions' processes, so that what they have cached is gone."""
        for pid in self.functions():
            end(pid)


def end(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
