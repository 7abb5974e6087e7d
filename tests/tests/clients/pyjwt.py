"""Keys, and tokens by them that a provider in Python makes: prints [what it is, the token, the status that it gets]."""

import json
import os
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

folder = Path(os.environ["FOLDER"])
now = int(time.time())

PAIRS = {
    "RS256": (RSAAlgorithm, rsa.generate_private_key(65537, 2048)),
    "PS256": (RSAAlgorithm, rsa.generate_private_key(65537, 2048)),
    "ES256": (ECAlgorithm, ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": (OKPAlgorithm, ed25519.Ed25519PrivateKey.generate()),
}
SECRET = os.urandom(32).hex()


def claims(issuer, **more):
    return {"iss": issuer, "aud": "ollama", "sub": "alice", "iat": now, "exp": now + 600, **more}


def public(name, kind, key):
    jwk = json.loads(kind.to_jwk(key.public_key()))
    return {**jwk, "kid": name, "alg": name, "use": "sig"}


def tampered(token, other):
    """The token with the payload of the other, or with another signature."""
    header, payload, signature = token.split(".")
    yield "the claims of another", ".".join([header, other.split(".")[1], signature])
    yield "the signature of another", ".".join([header, payload, other.split(".")[2]])
    yield "a signature cut off", ".".join([header, payload, signature[:-4]])
    yield "no signature", ".".join([header, payload, ""])


def cases(issuer, algorithm, key, stranger, name=None):
    headers = {"kid": name} if name else {}

    def sign(by=key, **more):
        return jwt.encode(claims(issuer, **more), by, algorithm, headers)

    good = sign()
    yield "good", good, 200
    yield "with several audiences", sign(aud=["other", "ollama"]), 200
    yield "by another key", sign(by=stranger), 401
    yield "for another", sign(aud="other"), 401
    yield "that has ended", sign(exp=now - 60), 401
    yield "that has not begun", sign(nbf=now + 60), 401
    yield "of another issuer", sign(iss="https://evil.example"), 401
    yield "that nobody has signed", jwt.encode(claims(issuer), None, "none", headers), 401
    for what, token in tampered(good, sign(sub="admin")):
        yield f"with {what}", token, 401


STRANGERS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "PS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}

keys = [public(name, *pair) for name, pair in PAIRS.items()]
(folder / "jwks.json").write_text(json.dumps({"keys": keys}))
(folder / "secret").write_text(SECRET)
table = [
    (f"{algorithm}, {what}{' by name' if name else ''}", token, status)
    for algorithm, (_, key) in PAIRS.items()
    for name in [algorithm, None]
    for what, token, status in cases("pairs", algorithm, key, STRANGERS[algorithm], name)
]
table += [
    (f"HS256, {what}", token, status)
    for what, token, status in cases("secret", "HS256", SECRET, os.urandom(32).hex())
]
print(json.dumps(table))
