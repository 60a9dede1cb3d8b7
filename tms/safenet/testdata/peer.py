"""A client of the OTP Web Service that has nothing of ours: MD4 is Samba's, DES of the
cryptography package, XML and HTTP of Python.

Usage: peer.py URL USER PASSCODE. It prints the error code, the four values of an accept
or the description of a refusal, and verifies the first four by itself.
"""
import base64
import hashlib
import os
import sys
import urllib.request
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from samba.crypto import md4_hash_blob as md4


def des(key7, block):
    bits = int.from_bytes(key7, "big")
    key8 = bytes((bits >> (49 - 7 * i) & 0x7F) << 1 for i in range(8))
    return Cipher(algorithms.TripleDES(key8), modes.ECB()).encryptor().update(block)


def sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


def b64(b):
    return base64.b64encode(b).decode()


url, user, passcode = sys.argv[1:]
name, secret = user.encode(), passcode.encode("utf-16-le")
challenge, peer = os.urandom(16), os.urandom(16)
nt = bytes(md4(secret))
hashed = sha1(peer, challenge, name)[:8]
padded = nt + bytes(5)
response = b"".join(des(padded[i : i + 7], hashed) for i in (0, 7, 14))

inner = (
    '<?xml version="1.0"?>\n<otp_authentication_request>'
    f"<user_name>{escape(user)}</user_name><protocol_information><type>MSCHAPv2</type><protocol_specific><Mschapv2Info>"
    f"<UserName>{b64(name)}</UserName><AuthenticatorChallenge>{b64(challenge)}</AuthenticatorChallenge>"
    f"<PeerChallenge>{b64(peer)}</PeerChallenge><Response>{b64(response)}</Response>"
    "</Mschapv2Info></protocol_specific></protocol_information></otp_authentication_request>\n"
)
envelope = ET.Element("{http://schemas.xmlsoap.org/soap/envelope/}Envelope")
body = ET.SubElement(envelope, "{http://schemas.xmlsoap.org/soap/envelope/}Body")
operation = ET.SubElement(body, "{http://tempuri.org/}Authenticate")
ET.SubElement(operation, "{http://tempuri.org/}request").text = inner
request = urllib.request.Request(
    url,
    ET.tostring(envelope, "utf-8", xml_declaration=True),
    {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"http://tempuri.org/Authenticate"'},
)
with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
    root = ET.fromstring(answer.read())
result = root.find(".//{http://tempuri.org/}AuthenticateResult").text
inside = ET.fromstring(result.encode())
code = inside.findtext("error_code")
if code != "0":
    print(code, inside.findtext("error_description").strip())
    sys.exit()

values = {e.tag: base64.b64decode(e.text) for e in inside.find(".//Mschapv2Response")}
twice = bytes(md4(nt))
digest = sha1(twice, response, b"Magic server to client signing constant")
proof = sha1(digest, hashed, b"Pad to make it do more than one iteration")
master = sha1(twice, response, b"This is the MPPE Master Key")[:16]


def key(side):
    return sha1(master, bytes(40), side, b"\xf2" * 40)[:16]


sends = key(b"On the client side, this is the receive key; on the server side, it is the send key.")
receives = key(b"On the client side, this is the send key; on the server side, it is the receive key.")
lm = des(passcode.upper().encode()[:7].ljust(7, b"\0"), b"KGS!@#$%")
want = {"MppeRecvKey": receives, "MppeSendKey": sends, "AuthenticatorResponse": proof, "MschapMppeKeys": lm + nt + bytes(8)}
print(code, "all as computed" if values == want else f"{values} instead of {want}")
