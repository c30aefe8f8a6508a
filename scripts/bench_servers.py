"""The servers that scripts/bench measures: Consign and its peers, each started on a free port with a
temporary folder on the same disk, and how peers get here."""

import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

# One pair for all: Garage takes keys of this form alone.
ACCESS_KEY = "GK" + secrets.token_hex(12)
SECRET_KEY = secrets.token_hex(32)
REGION = "us-east-1"
# Where --install puts peers, and where they are looked for beside the PATH.
PEERS = Path(os.environ.get("CONSIGN_BENCH_PEERS", Path.home() / ".cache/consign-bench-peers"))
GARAGE, S3S_FS = "2.5.0", "0.14.1"
START_SECONDS = 60
STOP_SECONDS = 60
# What a run leaves to be done behind it ends within this, or is cut off where it is.
SETTLE_SECONDS = 10
SETTLE_STEP_SECONDS = 0.25


class Missing(Exception):
    """A peer that is not at hand."""


def program(name, *folders):
    found = shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ["PATH"], "/usr/sbin"]))
    if not found:
        raise Missing(f"{name} is not at hand (--install gets it)")
    return found


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One server: how it is started, and what is known of it."""

    name = title = settings = ""
    # Whether requests to it are signed.
    signed = True
    # A path that is answered once it serves; where only a status of 200 will do, it says so.
    path, only_ok = "/", False

    def __init__(self, folder):
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.process = None

    def command(self):
        raise NotImplementedError

    def version(self):
        return ""

    def prepare(self):
        """What must be there before the process starts."""

    def set_up(self):
        """What must be done once it runs."""

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Starts it and waits until it answers; gives back how many milliseconds that took."""
        self.prepare()
        log = open(self.folder / "log", "ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CONSIGN_")}
        # No line for each request, as nginx writes none either; moto knows no such setting.
        environment |= {"RUST_LOG": "error", "CONSIGN_LOG_LEVEL": "error"}
        environment |= {"CONSIGN_ROOT_SECRET_KEY": SECRET_KEY, "CONSIGN_ROOT_ACCESS_KEY": ACCESS_KEY}
        began = time.perf_counter()
        self.process = subprocess.Popen(
            self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, env=environment
        )
        while not self.answers():
            if self.process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                raise Missing(f"{self.name} does not start: {self.log_end()}")
            time.sleep(0.001)
        took = (time.perf_counter() - began) * 1000
        self.set_up()
        return took

    def answers(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", self.path)
            status = connection.getresponse().status
            connection.close()
            return status == 200 or not self.only_ok
        except OSError:
            return False

    def log_end(self):
        return (self.folder / "log").read_text(errors="replace")[-500:]

    def pids(self):
        """Its process and the children of that."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def signal(self, number):
        for pid in self.pids():
            os.kill(pid, number)

    def cpu_ticks(self):
        """What it has computed so far, in ticks of the system's clock."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids()]
        return sum(int(user) + int(system) for *_, user, system in (field[:13] for field in fields))

    def settle(self):
        """Waits until it does nothing any more: 5 GiB that a run deleted at its end are freed behind the
        answer, and whatever is measured next would wait for the disk with them."""
        until = time.monotonic() + SETTLE_SECONDS
        now = self.cpu_ticks()
        while time.monotonic() < until:
            time.sleep(SETTLE_STEP_SECONDS)
            before, now = now, self.cpu_ticks()
            if now <= before + 1:
                return

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def resident_mib(self):
        kib = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    kib += int(line.split()[1])
        return kib / 1024

    def disk_bytes(self):
        """What its folder takes on the disk, a file with several names once."""
        return int(output("du", "-s", "-B1", str(self.folder)).split()[0])


class Consign(Server):
    name, title = "consign", "Consign"
    settings = "its defaults, but no log line for each request, as of nginx, Garage and s3s-fs; everything answered is synced"
    path, only_ok = "/-/ready", True
    binary = None

    def command(self):
        return [self.binary, "serve", "--data-dir", str(self.folder / "data"), "--listen", f"127.0.0.1:{self.port}"]

    def version(self):
        return output(self.binary, "--version")


class Nginx(Server):
    name, title = "nginx", "nginx"
    settings = "static files with sendfile, PUT by WebDAV; no hash, no signature, no sync; a worker for each core"
    signed = False

    def __init__(self, folder):
        self.binary = program("nginx")
        if "http_dav_module" not in output(self.binary, "-V"):
            raise Missing("this nginx has no WebDAV")
        super().__init__(folder)

    def prepare(self):
        (self.folder / "root").mkdir(exist_ok=True)
        (self.folder / "root/index.html").write_text("ready\n")
        temporary = " ".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # As root its workers would be another user's, who may not write here.
        user = "user root;" if os.getuid() == 0 else ""
        (self.folder / "conf").write_text(f"""
            daemon off; {user} worker_processes auto; pid {self.folder}/pid; error_log {self.folder}/log error;
            events {{ worker_connections 2048; }}
            http {{
                {temporary} access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
                client_max_body_size 0; server_tokens off;
                server {{
                    listen 127.0.0.1:{self.port};
                    root {self.folder}/root;
                    dav_methods PUT DELETE; create_full_put_path on;
                }}
            }}
        """)

    def command(self):
        return [self.binary, "-c", str(self.folder / "conf"), "-e", str(self.folder / "log")]

    def version(self):
        return output(self.binary, "-v").removeprefix("nginx version: ")


class Moto(Server):
    name, title = "moto", "moto, in memory"
    settings = "its defaults: everything in memory"

    def __init__(self, folder):
        self.binary = program("moto_server", PEERS / "moto/bin")
        super().__init__(folder)

    def command(self):
        return [self.binary, "-H", "127.0.0.1", "-p", str(self.port)]

    def version(self):
        python = Path(self.binary).resolve().parent / "python3"
        asked = "import importlib.metadata as m; print('moto', m.version('moto'))"
        return output(python if python.exists() else "python3", "-c", asked)


class S3sFs(Server):
    name, title = "s3s-fs", "s3s-fs, unsynced"
    settings = "its defaults: it never syncs"

    def __init__(self, folder):
        self.binary = program("s3s-fs", PEERS / "bin")
        super().__init__(folder)

    def prepare(self):
        (self.folder / "root").mkdir(exist_ok=True)

    def command(self):
        keys = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
        return [self.binary, "--host", "127.0.0.1", "--port", str(self.port), *keys, str(self.folder / "root")]

    def version(self):
        return output(self.binary, "--version")


class Garage(Server):
    name, title = "garage", "Garage, unsynced"
    settings = "LMDB, one node, replication_factor = 1, its defaults else"
    sync = "false"

    def __init__(self, folder):
        self.binary = program("garage", PEERS / "bin")
        super().__init__(folder)
        self.rpc = free_port()
        self.rpc_secret = secrets.token_hex(32)
        self.is_set_up = False

    def prepare(self):
        (self.folder / "conf").write_text(f"""
metadata_dir = "{self.folder}/meta"
data_dir = "{self.folder}/data"
db_engine = "lmdb"
metadata_fsync = {self.sync}
data_fsync = {self.sync}
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{self.rpc}"
rpc_public_addr = "127.0.0.1:{self.rpc}"
rpc_secret = "{self.rpc_secret}"
[s3_api]
s3_region = "{REGION}"
api_bind_addr = "127.0.0.1:{self.port}"
root_domain = ".s3.localhost"
""")

    def command(self):
        return [self.binary, "-c", str(self.folder / "conf"), "server"]

    def ask(self, *arguments):
        done = subprocess.run(
            [self.binary, "-c", str(self.folder / "conf"), *arguments], capture_output=True, text=True, env=os.environ | {"RUST_LOG": "error"}
        )
        if done.returncode:
            raise Missing(f"garage {' '.join(arguments[:2])}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def set_up(self):
        if self.is_set_up:
            return
        node = self.ask("node", "id", "-q").split("@")[0].strip()
        self.ask("layout", "assign", "-z", "here", "-c", "1T", node)
        self.ask("layout", "apply", "--version", "1")
        self.ask("key", "import", "--yes", "-n", "bench", ACCESS_KEY, SECRET_KEY)
        self.ask("key", "allow", "--create-bucket", ACCESS_KEY)
        self.is_set_up = True

    def version(self):
        return output(self.binary, "--version").split("[")[0].strip()


class GarageSync(Garage):
    name, title = "garage-sync", "Garage, synced"
    settings = "the same with metadata_fsync and data_fsync on"
    sync = "true"


ALL = {server.name: server for server in (Consign, Nginx, Garage, GarageSync, S3sFs, Moto)}


def install():
    """Gets every peer from the package registries, each only where it is missing."""
    as_root = [] if os.getuid() == 0 else ["sudo"]
    packages = ["libsodium-dev", "libzstd-dev", "libsqlite3-dev", "pkg-config", "python3-venv"]
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        packages.append("nginx-light")
    if any(subprocess.run(["dpkg", "-s", package], capture_output=True).returncode for package in packages):
        subprocess.run([*as_root, "apt-get", "update", "-qq"], check=True)
        subprocess.run([*as_root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], check=True)
    cargo = ["cargo", "install", "--locked", "--root", str(PEERS)]
    # Neither may link what the environment holds ready for Consign itself.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ROCKSDB_")} | {"SODIUM_USE_PKG_CONFIG": "1"}
    environment["CARGO_TARGET_DIR"] = str(PEERS / "target")
    for crate, arguments in (
        ("garage", ["--version", GARAGE, "--no-default-features", "--features", "lmdb,system-libs"]),
        ("s3s-fs", ["--version", S3S_FS, "--features", "binary"]),
    ):
        if not (PEERS / "bin" / crate).exists():
            subprocess.run([*cargo, crate, *arguments], check=True, env=environment)
    if not (PEERS / "moto/bin/moto_server").exists():
        subprocess.run(["python3", "-m", "venv", str(PEERS / "moto")], check=True)
        subprocess.run([PEERS / "moto/bin/pip", "install", "-q", "moto[server]"], check=True)
