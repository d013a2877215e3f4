"""A Hugging Face Hub in memory, on 127.0.0.1: what a client pushes, it can load back.

    with LoopbackHub() as hub:
        subprocess.run(command, env={**os.environ, **hub.environment(tmp_path)}, check=True)
        assert "README.md" in hub.files("tester/model")

It speaks what huggingface_hub, datasets and transformers use to create, write and read repositories of models,
datasets and Spaces. The client must be a process of its own: the libraries read HF_ENDPOINT when they are imported.

Deliberately left out: branches other than main, tags, pull requests, gating, .gitignore, search, pages of results,
the sizes of files in a repository's info (its tree has them), what the Hub reads in cards (`tags`, `card_data`), the
redirect of downloads to a CDN, and Xet, which the environment turns off. A new repository is empty (the Hub's has a
.gitattributes), a token opens every private repository, and the last commit of a file is said to be that of its
revision. An unknown route answers 501.
"""

import base64
import hashlib
import json
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit


USER = "tester"
TOKEN = "hf_loopback"
DATE = "2026-01-01T00:00:00.000Z"
LFS_SUFFIXES = (".parquet", ".safetensors", ".bin")
LFS_SIZE = 1_000_000


class LoopbackHub(ThreadingHTTPServer):
    """The server and what it holds. As a context manager it listens on a port that the system chooses.

    `requests` lists the (method, path) of every request. While `fail_uploads` is True, or for as many requests as it
    counts, a commit answers 503, and the upload of a large file loses its connection half way. The client then waits
    a second and tries again; if that fails too, it is because the link has expired (403), so that the client gives up.
    """

    request_queue_size = 64  # with the default of 5, one of many clients at once waits a second to connect

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Request)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.blobs: dict[str, bytes] = {}  # contents by their sha256
        self.requests: list[tuple[str, str]] = []
        self.fail_uploads: bool | int = False
        self.interrupted: set[str] = set()
        self.lock = threading.Lock()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def environment(self, home):
        """What a client's environment must say; `home` is the folder of its caches."""
        here = {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
        no_proxy = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1")
        disabled = ("XET", "TELEMETRY", "UPDATE_CHECK", "PROGRESS_BARS")
        return here | no_proxy | {f"HF_HUB_DISABLE_{what}": "1" for what in disabled}

    def files(self, repo_id, repo_type="model", revision="main"):
        return dict(self.repositories[repo_type, repo_id].at(revision).files)

    def commits(self, repo_id, repo_type="model"):
        """The (sha, message) of every commit, the oldest first."""
        return [(commit.sha, commit.message) for commit in self.repositories[repo_type, repo_id].commits]

    def put(self, repo_id, repo_type, files, private=False):
        """Make a repository, of any namespace, hold exactly `files`, whatever they are. Returns the commit's sha."""
        repo = self.repositories.get((repo_type, repo_id)) or self.add_repository(repo_id, repo_type, private)
        repo.private = private
        self.blobs |= {sha256(content): content for content in files.values()}
        return repo.commit("put", dict(files)).sha

    def add_repository(self, repo_id, repo_type, private):
        repo = self.repositories[repo_type, repo_id] = Repository(repo_id, repo_type, private)
        repo.commit("initial commit", {})
        return repo

    def next_upload_fails(self):
        with self.lock:
            left = self.fail_uploads
            self.fail_uploads = left if left is True else max(0, left - 1)
            return left > 0

    def handle_error(self, request, client_address):
        # A client that was killed, or a connection that was cut on purpose, is no fault of the server.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Commit(NamedTuple):
    sha: str
    message: str
    files: dict[str, bytes]

    def entries(self, paths, expand):
        """The files and folders at `paths`, without a word on paths that are not there."""
        known = {path: folder_entry(path) for path in folders(self.files)}
        known |= {path: file_entry(path, content) for path, content in self.files.items()}
        last = {"lastCommit": self.entry()} if expand else {}
        return [known[path] | last for path in paths if path in known]

    def entry(self):
        title, _, rest = self.message.partition("\n\n")
        return {"id": self.sha, "title": title, "message": rest, "date": DATE, "authors": [{"user": USER}]}


@dataclass
class Repository:
    id: str
    type: str
    private: bool
    commits: list[Commit] = field(default_factory=list)

    def commit(self, message, files):
        parent = self.commits[-1].sha if self.commits else f"{self.type}/{self.id}"
        content = json.dumps([parent, message, {path: git_oid(files[path]) for path in sorted(files)}])
        self.commits.append(Commit(hashlib.sha1(content.encode()).hexdigest(), message, files))
        return self.commits[-1]

    def at(self, revision):
        """The commit that "main", a sha or at least its first seven characters name."""
        named = [commit for commit in self.commits if len(revision) >= 7 and commit.sha.startswith(revision)]
        if not named and revision != "main":
            raise not_found("Revision")
        return named[0] if named else self.commits[-1]


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class HubError(Exception):
    """An answer other than 200. huggingface_hub chooses the exception that it raises by the X-Error-Code."""

    def __init__(self, status, message, code=None, commit=None, **body):
        super().__init__(message)
        headers = {"X-Error-Message": message, "X-Error-Code": code, "X-Repo-Commit": commit and commit.sha}
        self.reply = json_reply(body | {"error": message}, status, {k: v for k, v in headers.items() if v})


def not_found(what, commit=None):
    return HubError(404, f"{what} not found", f"{what}NotFound", commit)


def json_reply(value, status=200, headers=None):
    return Reply(status, {"Content-Type": "application/json"} | (headers or {}), json.dumps(value).encode())


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def git_oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(path, size):
    return size > 0 and (size > LFS_SIZE or path.endswith(LFS_SUFFIXES))


def etag(path, content):
    """What a client compares its own file with."""
    return sha256(content) if is_lfs(path, len(content)) else git_oid(content)


def file_entry(path, content):
    entry = {"type": "file", "path": path, "oid": git_oid(content), "size": len(content)}
    lfs = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
    return entry | {"lfs": lfs} if is_lfs(path, len(content)) else entry


def folder_entry(path):
    return {"type": "directory", "path": path, "oid": git_oid(path.encode()), "size": 0}


def folders(paths):
    """Of "a/b/c.txt": "a" and "a/b"."""
    return sorted({folder for path in paths for folder in accumulate(path.split("/")[:-1], "{}/{}".format)})


class Request(BaseHTTPRequestHandler):
    """One method per call: it takes the parts of the path that its route names, and returns JSON or a Reply."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait 40 ms for an ACK
    server: LoopbackHub

    def serve(self):
        url = urlsplit(self.path)
        self.server.requests.append((self.command, url.path))
        self.query = dict(parse_qs(url.query))
        handler, arguments = self.route(url.path)
        self.body = b"" if handler is Request.lfs_put else self.read_body()
        try:
            value = handler(self, **arguments)
        except HubError as error:
            value = error.reply
        self.send(value if isinstance(value, Reply) else json_reply(value))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def route(self, path):
        command = "GET" if self.command == "HEAD" else self.command
        for method, pattern, handler in ROUTES:
            # The quoted path is matched: a slash inside a revision or a folder is a %2F.
            if method == command and (match := re.fullmatch(pattern, path)):
                return handler, {name: part and unquote(part) for name, part in match.groupdict().items()}
        return Request.no_route, {}

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def send(self, reply):
        self.send_response(reply.status)
        for name, value in (reply.headers | {"Content-Length": str(len(reply.body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, *_):
        pass

    def has_token(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def check_token(self):
        if not self.has_token():
            raise HubError(401, f"Got {self.headers.get('Authorization')!a}, expected 'Bearer {TOKEN}'")

    def check_may_write(self, repo_id):
        self.check_token()
        if not repo_id.startswith(f"{USER}/"):
            raise HubError(403, f"{USER} may not write to {repo_id!a}")

    def readable(self, repo_type, repo_id):
        repo = self.server.repositories.get((repo_type or "model", repo_id))
        if repo is None or (repo.private and not self.has_token()):
            raise not_found("Repo")
        return repo

    def writable(self, repo_type, repo_id):
        self.check_may_write(repo_id)
        return self.readable(repo_type, repo_id)

    def no_route(self):
        raise HubError(501, f"The loopback Hub has no route for {self.command} {self.path!a}")

    def whoami(self):
        self.check_token()
        token = {"displayName": "loopback", "role": "write"}
        return {"type": "user", "name": USER, "orgs": [], "auth": {"type": "access_token", "accessToken": token}}

    def validate_yaml(self):
        return {"errors": [], "warnings": []}

    def repository_in_body(self):
        asked = json.loads(self.body)
        repo_id = f"{asked.get('organization') or USER}/{asked['name']}"
        self.check_may_write(repo_id)
        return asked.get("type") or "model", repo_id

    def create(self):
        repo_type, repo_id = self.repository_in_body()
        url = f"{self.server.endpoint}/{'' if repo_type == 'model' else f'{repo_type}s/'}{repo_id}"
        if (repo_type, repo_id) in self.server.repositories:
            raise HubError(409, f"You already created this {repo_type} repo", url=url)
        private = json.loads(self.body).get("visibility") == "private"
        self.server.add_repository(repo_id, repo_type, private)
        return {"url": url}

    def delete(self):
        if self.server.repositories.pop(self.repository_in_body(), None) is None:
            raise not_found("Repo")
        return {}

    def settings(self, repo_type, repo_id):
        repo = self.writable(repo_type, repo_id)
        repo.private = json.loads(self.body)["visibility"] == "private"
        return {"private": repo.private}

    def info(self, repo_type, repo_id, revision):
        repo = self.readable(repo_type, repo_id)
        commit = repo.at(revision or "main")
        siblings = [{"rfilename": path} for path in commit.files]
        named = {"id": repo_id, "author": repo_id.split("/")[0], "sha": commit.sha, "private": repo.private}
        return named | {"createdAt": DATE, "lastModified": DATE, "gated": False, "tags": [], "siblings": siblings}

    def refs(self, repo_type, repo_id):
        sha = self.readable(repo_type, repo_id).at("main").sha
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": sha}
        return {"branches": [main], "tags": [], "converts": [], "pullRequests": []}

    def log(self, repo_type, repo_id, revision):
        repo = self.readable(repo_type, repo_id)
        count = repo.commits.index(repo.at(revision)) + 1
        return [commit.entry() for commit in reversed(repo.commits[:count])]

    def tree(self, repo_type, repo_id, revision, path):
        commit = self.readable(repo_type, repo_id).at(revision)
        prefix = f"{path}/" if path else ""
        below = [name for name in (*folders(commit.files), *commit.files) if name.startswith(prefix)]
        if path and not below:
            raise not_found("Entry", commit)
        recursive, expand = (self.query.get(name) == ["true"] for name in ("recursive", "expand"))
        return commit.entries([name for name in below if recursive or "/" not in name.removeprefix(prefix)], expand)

    def paths_info(self, repo_type, repo_id, revision):
        form = parse_qs(self.body.decode())
        return self.readable(repo_type, repo_id).at(revision).entries(form["paths"], form.get("expand") == ["true"])

    def resolve(self, repo_type, repo_id, revision, path):
        commit = self.readable(repo_type, repo_id).at(revision)
        if path not in commit.files:
            raise not_found("Entry", commit)
        content = commit.files[path]
        quoted = f'"{etag(path, content)}"'
        headers = {"X-Repo-Commit": commit.sha, "ETag": quoted}
        if is_lfs(path, len(content)):
            headers |= {"X-Linked-Etag": quoted, "X-Linked-Size": str(len(content))}
        if "Range" not in self.headers:
            return Reply(200, headers, content)
        first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"]).groups()
        part = content[int(first) : int(last) + 1 if last else None]
        place = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        return Reply(206, headers | {"Content-Range": place}, part)

    def preupload(self, repo_type, repo_id, revision):
        """How to send each file. A client leaves out a file if the `oid` of what the repository has is its own."""
        files = self.writable(repo_type, repo_id).at(revision).files
        answers = []
        for path, size in ((asked["path"], asked["size"]) for asked in json.loads(self.body)["files"]):
            mode = "lfs" if is_lfs(path, size) else "regular"
            oid = etag(path, files[path]) if path in files else None
            answers.append({"path": path, "uploadMode": mode, "oid": oid, "shouldIgnore": False})
        return {"files": answers}

    def lfs_batch(self, repo_type, repo_id):
        self.writable(repo_type, repo_id)
        objects = [{"oid": asked["oid"], "size": asked["size"]} for asked in json.loads(self.body)["objects"]]
        for missing in (known for known in objects if known["oid"] not in self.server.blobs):
            href = f"{self.server.endpoint}/lfs/{missing['oid']}"
            missing["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        return {"transfer": "basic", "objects": objects}

    def lfs_put(self, oid):
        """No token comes with the content of a large file: on the Hub this is a signed link to another machine."""
        fails = self.server.next_upload_fails()
        if fails and oid not in self.server.interrupted:
            self.server.interrupted.add(oid)
            self.rfile.read(1)
            raise ConnectionAbortedError("fail_uploads")
        content = self.read_body()
        self.server.interrupted.discard(oid)
        if fails:
            raise HubError(403, "Request has expired")
        if sha256(content) != oid:
            raise HubError(400, f"Got {len(content)} bytes of sha256 {sha256(content)}, expected {oid}")
        self.server.blobs[oid] = content
        return {}

    def lfs_verify(self, oid):
        if oid not in self.server.blobs:
            raise not_found("Entry")
        return {}

    def commit(self, repo_type, repo_id, revision):
        repo = self.writable(repo_type, repo_id)
        if self.server.next_upload_fails():
            raise HubError(503, "fail_uploads")
        if revision != "main":
            raise not_found("Revision")
        header, *operations = [json.loads(line) for line in self.body.splitlines()]
        with self.server.lock:
            if not repo.at("main").sha.startswith(header["value"].get("parentCommit", "")):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            files = dict(repo.at("main").files)
            for operation in operations:
                self.apply(operation["key"], operation["value"], files)
            message = f"{header['value']['summary']}\n\n{header['value']['description']}".strip()
            sha = repo.commit(message, files).sha
        return {"success": True, "commitOid": sha, "commitUrl": f"{self.server.endpoint}/{repo_id}/commit/{sha}"}

    def apply(self, key, value, files):
        path = value["path"]
        match key:
            case "file":
                files[path] = base64.b64decode(value["content"])
            case "lfsFile" if value["oid"] in self.server.blobs:
                files[path] = self.server.blobs[value["oid"]]
            case "lfsFile":
                raise HubError(400, f"The content of {path!a}, {value['oid']}, was not uploaded")
            case "deletedFile" | "deletedFolder":
                inside = f"{path.rstrip('/')}/"  # some clients end the name of a folder with a slash, some do not
                gone = [file for file in files if (file == path if key == "deletedFile" else file.startswith(inside))]
                if not gone:
                    raise not_found("Entry")
                for file in gone:
                    del files[file]


TYPE = "(?P<repo_type>model|dataset|space)s"
PREFIX = "(?:(?P<repo_type>dataset|space)s/)?"
ID = "(?P<repo_id>[^/]+(?:/[^/]+)?)"
REVISION = "(?P<revision>[^/]+)"
OID = "(?P<oid>[0-9a-f]{64})"
# An id may lack its namespace ("gpt2"), so the shortest route of a repository is the last.
ROUTES = [
    ("GET", "/api/whoami-v2", Request.whoami),
    ("POST", "/api/validate-yaml", Request.validate_yaml),
    ("POST", "/api/repos/create", Request.create),
    ("DELETE", "/api/repos/delete", Request.delete),
    ("PUT", f"/api/{TYPE}/{ID}/settings", Request.settings),
    ("GET", f"/api/{TYPE}/{ID}/refs", Request.refs),
    ("GET", f"/api/{TYPE}/{ID}/commits/{REVISION}", Request.log),
    ("GET", f"/api/{TYPE}/{ID}/tree/{REVISION}(?:/(?P<path>.+))?", Request.tree),
    ("POST", f"/api/{TYPE}/{ID}/paths-info/{REVISION}", Request.paths_info),
    ("POST", f"/api/{TYPE}/{ID}/preupload/{REVISION}", Request.preupload),
    ("POST", f"/api/{TYPE}/{ID}/commit/{REVISION}", Request.commit),
    ("GET", f"/api/{TYPE}/{ID}(?:/revision/{REVISION})?", Request.info),
    ("GET", f"/{PREFIX}{ID}/resolve/{REVISION}/(?P<path>.+)", Request.resolve),
    ("POST", rf"/{PREFIX}{ID}\.git/info/lfs/objects/batch", Request.lfs_batch),
    ("PUT", f"/lfs/{OID}", Request.lfs_put),
    ("POST", f"/lfs/{OID}/verify", Request.lfs_verify),
]
