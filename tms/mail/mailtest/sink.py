# A mail server: sink.py PORT MODE FOLDER, the port may be 0. It prints the port that
# it listens on, and ends with its standard input.
import asyncio, json, os, ssl, sys, threading

from aiosmtpd.smtp import SMTP, AuthResult

USER, PASSWORD = b"mailer", b"mail-Passw0rd"
ANSWERS = {"nobody": "550 5.1.1 there is no such user", "later": "451 4.7.1 try again later"}

port, mode, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Handler:
    def __init__(self):
        self.taken = len([name for name in os.listdir(folder) if name.endswith(".eml")])

    async def handle_MAIL(self, server, session, envelope, address, options):
        envelope.mail_from, envelope.mail_options = address, options
        return ANSWERS.get(address.split("@")[0], "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = ANSWERS.get(address.split("@")[0])
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(address.startswith("content@") for address in envelope.rcpt_tos):
            return "554 5.6.0 this content is not wanted"
        self.taken += 1
        name = os.path.join(folder, "%06d" % self.taken)
        with open(name + ".json", "w") as about:
            json.dump({"From": envelope.mail_from, "To": envelope.rcpt_tos, "Options": envelope.mail_options,
                       "TLS": server.transport.get_extra_info("ssl_object") is not None, "User": session.auth_data or ""}, about)
        with open(name + ".part", "wb") as message:
            message.write(envelope.original_content)
        os.rename(name + ".part", name + ".eml")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    if data.login == USER and data.password == PASSWORD:
        return AuthResult(success=True, auth_data=data.login.decode())
    return AuthResult(success=False, handled=False)


def options():
    if mode == "plain":
        return {}, None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
    login = {"authenticator": authenticate, "auth_required": True}
    if mode == "tls":
        return login | {"auth_require_tls": False}, context
    return login | {"tls_context": context, "require_starttls": True}, None


async def main():
    settings, context = options()
    loop, handler = asyncio.get_running_loop(), Handler()
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="sink.test", enable_SMTPUTF8=True, loop=loop, **settings), "127.0.0.1", port, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
asyncio.run(main())
