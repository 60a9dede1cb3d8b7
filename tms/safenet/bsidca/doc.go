// Package bsidca is a client of BSIDCA, the SOAP service by which operators manage
// SafeNet Authentication Service and SafeNet Trusted Access (once CRYPTOCard
// BlackShield). It lists the users and the tokens of an organization, for the report
// of a migration, and activates tokens. It is not the OTP Web Service of the SafeNet
// TMS, which is another product: that is package safenet.
//
// # What is documented, and where
//
// Only operations are here whose parameters and answers are public:
//
//	Connect         Thales, thalesdocs.com/sta/api/bsidca/bsidca-endpoints/
//	                bsidca-connection: parameters, and every word of the answer.
//	PingConnection  the same page: true while there is a session.
//	ActivateToken   thalesdocs.com/sta/api/bsidca/bsidca-endpoints/bsidca-token:
//	                parameters, a sample of the messages, every word of the answer.
//	GetUsers        parameters: their order and "Any" in github.com/martingegenleitner/sta,
//	                api-samples/Get-SoapApiSession.ps1, their names in public clients.
//	                No page that was found has the columns of its table: those are here
//	                that clients read, username or userid, firstname, lastname, email.
//	GetTokens       parameters and the thirteen columns of Named_Tokens_Table:
//	                github.com/thalesdemo/safenet-workflow-api, TokenSchemaParser.java,
//	                and github.com/thalesdemo/safenet-auth-api, GetTokensSoapRequest.java;
//	                both are demonstrations by people of Thales.
//	GetTotalTokens  github.com/thalesdemo/safenet-auth-api, GetTotalTokensSoapRequest.java
//	                and TokenService.java: the same filters, a number.
//
// The table of an answer is a DataTable as .NET serializes it: a schema, and a DiffGram
// with a row an element ([MS-DSDIFFGRAM]). Rows are taken by their place and columns by
// their name, so that it does not matter what the table is called.
//
// Not known, and so not made: a word by which the service says that a session is over,
// an operation that ends one, a total of users, and anything that gives seeds away. The
// seeds of tokens stay there; they come from the maker's seed file, or are learned.
// Known and not used: GetTokensByOwner, GetUser, GetToken, GetRandomTokenPIN and
// GetMobilePASSProvisioningActivationCode.
//
// # Sessions
//
// Connect begins a session, which lives in a cookie (ASP.NET_SessionId) that only the
// Client has. When an operation fails, or has no answer where one is expected,
// PingConnection is asked whether the session is the reason. Close forgets the cookie;
// there the session ends by itself.
//
// # Errors
//
// Nothing is sent twice. A listing that fails is asked for again by whoever wants it.
// An activation whose answer is lost may have happened, and its error says so. A listing
// goes on until a page is empty, because the service may give fewer on a page than were
// asked for, and a page that comes twice is noticed. A listing of tokens is complete or an
// error: their number is compared with the total.
//
// An error of the network, of TLS, or of another service at that URL ends with what to do
// about it, but for an authority that is not trusted, because the caller knows where those
// come from.
//
// # Safety
//
// It speaks TLS 1.2 or later, and plain HTTP to loopback only. It follows no redirect,
// and reads 4 MiB of an answer at most. The operator's OTP and a token's PIN are Secrets;
// should the service repeat them in a fault, they are taken out.
//
// # Words
//
// An organization is an account of the service, named in full as its console has it; it
// is what elsewhere is called a user repository. An operator is who may manage it. The
// owner of a token is the user who has it there.
package bsidca
