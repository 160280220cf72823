"""Endpoints behind https: their certificate is checked, always."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from scripted_server import ScriptedServer, answer

from lctx.core.engine.events import TextDelta
from lctx.core.engine.open import EngineSettings, start_engine
from lctx.core.engine.protocol import Message, Sampling
from lctx.core.errors import EngineRefusedError


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the loopback address that nobody but the test trusts, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    alternatives = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(alternatives, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return paths


@pytest.fixture
def certificate(tmp_path):
    return make_certificate(tmp_path)


@pytest.fixture
def behind_https(certificate):
    """The events of one request to a scripted server behind https, and that server."""
    server = ScriptedServer({"/v1/chat/completions": answer("hi")})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
    with server:
        address = server.address.replace("http:", "https:")
        settings = EngineSettings("endpoint", model_name="m", address=address, api_key="secret")
        engine = start_engine(settings, Path()).ready()
        yield engine.generate([Message("user", "q")], Sampling(5)), server


def test_an_endpoint_behind_https_answers(behind_https, certificate, monkeypatch):
    """This test ensures that TLS works, with the certificates that the environment names."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    events, server = behind_https
    assert next(events) == TextDelta("hi")
    assert server.requests[-1].headers["Authorization"] == "Bearer secret"
    events.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(behind_https):
    """This test ensures that neither key nor document is sent to a server that cannot prove its name."""
    events, server = behind_https
    with pytest.raises(EngineRefusedError, match="certificate verify failed"):
        next(events)
    assert server.requests == []
