"""Starts the server with each algorithm, and checks its tokens with libraries of other projects while the key rotates.

The code of the Python service and of the Node service, offline and by introspection, is taken from docs/tokens-and-keys.md. Only
two things are changed: the address, and the times for which PyJWT and jose cache keys. Those are minutes by default, and are
shortened as the server's `publish_ahead` is.
"""

import atexit
import base64
import datetime
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from unittest import mock

warnings.filterwarnings("ignore")  # RFC 9864 names EdDSA by its curve; older clients read only this name.

from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from jwcrypto import jwk as jwcrypto_jwk, jwt as jwcrypto_jwt

ALGORITHMS = ["EdDSA", "ES256", "RS256"]
PUBLISH_AHEAD = 4
SKEW = 5  # seconds by which a service's clock may be behind
PAGE = pathlib.Path("docs/tokens-and-keys.md")
PASSWORD = "correct horse battery staple"
BINARY, PLACE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
WITH_NODE = "--node" in sys.argv


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """The server's binary on one port, through restarts."""

    def __init__(self, algorithm, *flags):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=f"{algorithm}-", dir=PLACE))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.flags = ["--token.algorithm", algorithm, "--token.publish_ahead", f"{PUBLISH_AHEAD}s", *flags]

    def start(self):
        quick = ["--listen", f"127.0.0.1:{self.port}", "--password.bcrypt_cost", "4", "--log.level", "warn"]
        self.process = subprocess.Popen([BINARY, *quick, *self.flags], cwd=self.home, stdout=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        for _ in range(100):
            try:
                return self.ask("/whoami")
            except urllib.error.URLError:
                time.sleep(0.1)
        raise SystemExit("the server did not come up")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def rotate(self):
        subprocess.run([BINARY, "key", "rotate", *self.flags], cwd=self.home, check=True, stdout=subprocess.DEVNULL)

    def ask(self, path, body=None, token=None):
        data = json.dumps(body).encode() if body else None
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def add_service(self):
        command = [BINARY, "user", "add", "billing", "--create", "--role", "SERVICE", "--password.bcrypt_cost", "4"]
        subprocess.run(command, cwd=self.home, check=True, input=PASSWORD, text=True, stdout=subprocess.DEVNULL)
        os.environ["BILLING_PASSWORD"] = PASSWORD

    def log_out(self, token):
        request = urllib.request.Request(self.url + "/logout", headers={"Authorization": f"Bearer {token}"})
        urllib.request.urlopen(request, timeout=10).close()

    def sign_in(self):
        return self.ask("/signin", {"username": "ada", "password": PASSWORD})["access_token"]

    def jwks(self):
        return self.ask("/.well-known/jwks.json")


def snippet(language, mark):
    """The page's lines for a service in this language: the block that has `mark` in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.S)
    [found] = [block for block in blocks if mark in block]
    return found


def pyjwt(server):
    code = snippet("python", "jwks.json").replace("http://localhost:8000", server.url)
    code, changed = re.subn(r'(/jwks\.json")\)', r"\1, lifespan=1, cooldown_duration=1)", code)
    assert changed == 1, "the page makes its client in another way"
    names = {}
    exec(compile(code, PAGE, "exec"), names)
    return names["who"]


def pyjwt_behind(server):
    """PyJWT on a machine whose clock is behind the server's."""
    who = pyjwt(server)

    class Behind(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) - datetime.timedelta(seconds=SKEW)

    def who_behind(token):
        with mock.patch("jwt.api_jwt.datetime", Behind):
            return who(token)

    return who_behind


def joserfc(server):
    def who(token):
        return joserfc_jwt.decode(token, KeySet.import_key_set(server.jwks()), algorithms=ALGORITHMS).claims

    return who


def jwcrypto(server):
    def who(token):
        keys = jwcrypto_jwk.JWKSet.from_json(json.dumps(server.jwks()))
        return json.loads(jwcrypto_jwt.JWT(jwt=token, key=keys, algs=ALGORITHMS).claims)

    return who


def jose(server, before=""):
    code = snippet("js", "jwks.json").replace("http://localhost:8000", server.url)
    short = "/jwks.json'), { cooldownDuration: 1000, cacheMaxAge: 1000 })"
    code, changed = re.subn(r"/jwks\.json'\)\)", short, code)
    assert changed == 1, "the page makes its key set in another way"
    return in_node(code + before)


def jose_behind(server):
    """jose on a machine whose clock is behind the server's."""
    return jose(
        server,
        f"""
const Right = Date
globalThis.Date = class extends Right {{
  constructor (...parts) {{ super(...(parts.length ? parts : [Right.now() - {SKEW} * 1000])) }}
  static now () {{ return Right.now() - {SKEW} * 1000 }}
}}
""",
    )


def in_node(code):
    """Runs the page's lines in Node: reads a token a line, writes its claims a line."""
    code += """
import { createInterface } from 'node:readline'
for await (const token of createInterface({ input: process.stdin })) {
  const said = await who(token).catch(error => ({ refused: String(error) }))
  console.log(JSON.stringify(said))
}
"""
    service = pathlib.Path(tempfile.mkstemp(".mjs", dir=PLACE)[1])
    service.write_text(code)
    node = subprocess.Popen(["node", service], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def who(token):
        node.stdin.write(token + "\n")
        node.stdin.flush()
        said = json.loads(node.stdout.readline())
        if said and "refused" in said:
            raise ValueError(said["refused"])
        return said

    return who


def requests(server):
    names = {}
    code = snippet("python", "/introspect").replace("http://localhost:8000", server.url)
    exec(compile(code, PAGE, "exec"), names)
    return names["who"]


def fetch(server):
    return in_node(snippet("js", "/introspect").replace("http://localhost:8000", server.url))


def check(clients, token, kid):
    for name, who in clients.items():
        claims = who(token)
        assert claims["username"] == "ada" and claims["roles"] == ["CLIENT"], (name, claims)
        # Another first character of the signature: a forged token.
        head, payload, signature = token.split(".")
        forged = f"{head}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
        try:
            claims = who(forged)
        except Exception:
            continue
        raise SystemExit(f"{name} accepted a forged token of the key {kid}: {claims}")


def kid_of(token):
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def run(algorithm):
    server = Server(algorithm)
    server.start()
    server.ask("/signup", {"username": "ada", "password": PASSWORD})
    clients = {"PyJWT": pyjwt(server), "PyJWT, behind": pyjwt_behind(server), "joserfc": joserfc(server), "jwcrypto": jwcrypto(server)}
    if WITH_NODE:
        clients["jose"] = jose(server)
        clients["jose, behind"] = jose_behind(server)

    first = server.sign_in()
    old = kid_of(first)
    check(clients, first, old)
    # The key id is the thumbprint that other libraries compute: RFC 7638.
    [served] = server.jwks()["keys"]
    assert jwcrypto_jwk.JWK(**served).thumbprint() == served["kid"] == old

    server.stop()
    server.rotate()
    server.start()
    assert len(server.jwks()["keys"]) == 2
    token = server.sign_in()
    assert kid_of(token) == old, "the new key signs before it has been published for long enough"
    check(clients, token, old)
    for _ in range(10 * PUBLISH_AHEAD):
        token = server.sign_in()
        if kid_of(token) != old:
            break
        time.sleep(0.2)
    assert kid_of(token) != old, "the new key does not sign"
    for token in [token, first]:
        check(clients, token, kid_of(token))
    server.stop()
    print(f"{algorithm}: {', '.join(clients)} check tokens of the old key and of the new one")


def run_introspection():
    server = Server("HS256", "--token.lifetime", "3s", "--token.refresh_window", "1s")
    server.add_service()
    server.start()
    server.ask("/signup", {"username": "ada", "password": PASSWORD})
    clients = {"requests": requests(server)}
    if WITH_NODE:
        clients["fetch"] = fetch(server)
    # In the second round the services' own tokens have expired.
    for _ in range(2):
        token = server.sign_in()
        for name, who in clients.items():
            said = who(token)
            assert said["username"] == "ada" and said["roles"] == ["CLIENT"] and said["iss"] == "jwt-server", (name, said)
        server.log_out(token)
        for name, who in clients.items():
            for dead in [token, token[:-1], "nonsense"]:
                assert who(dead) is None, (name, dead)
        time.sleep(3)
    server.stop()
    for name, who in clients.items():
        try:
            said = who(token)
        except Exception:
            continue
        raise SystemExit(f"{name} accepted a token while the server was stopped: {said}")
    print(f"introspection: {', '.join(clients)} ask what tokens are worth")


def run_new_password():
    """A client that follows the answer of a new password goes on, and a copy of the old token is worth nothing."""
    server = Server("EdDSA")
    server.start()
    ada, other = {"username": "ada", "password": PASSWORD}, PASSWORD[::-1]
    server.ask("/signup", ada)
    old = server.ask("/signin", ada)
    change = {"current_password": PASSWORD, "new_password": other, "device_token": old["device_token"]}
    fresh = server.ask("/me/password", change, old["access_token"])
    assert server.ask("/me", token=fresh["access_token"])["username"] == "ada"
    for path in ["/me", "/refresh", "/me/sessions"]:
        try:
            said = server.ask(path, token=old["access_token"])
        except urllib.error.HTTPError as refusal:
            assert refusal.code == 401, (path, refusal)
            continue
        raise SystemExit(f"{path} accepted a token from before the new password: {said}")
    again = server.ask("/signin", {"username": "ada", "password": other, "device_token": fresh["device_token"]})
    assert again["device_token"] == fresh["device_token"] != old["device_token"]
    server.stop()
    print("a new password: its answer goes on, and no older token does")


run_introspection()
run_new_password()
for algorithm in ALGORITHMS:
    run(algorithm)
