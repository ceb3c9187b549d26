//! The handshake between two endpoints: why a login fails. The peer sees only that the connection ends.

use super::manual;

manual! {
    28022 Documented [Initiator, Acceptor]
        "The endpoint's own certificate is not valid yet."
        ["Look at its start_date in sys.certificates and at the clock of this system; dates are UTC."]
        not_raised 10 false "It is quoted inside 28036.";
    28023 Documented [Initiator, Acceptor]
        "The endpoint's own certificate has expired."
        ["Create a new certificate, export it, import it on the partners, and name it in ALTER ENDPOINT."]
        not_raised 10 false "It is quoted inside 28036.";
    28024 Documented [Instance]
        "The certificate of a database principal is not valid yet."
        ["Look at its dates."]
        not_raised 16 true "Belongs to Service Broker dialogs.";
    28025 Documented [Instance]
        "The certificate of a database principal has expired."
        ["Look at its dates."]
        not_raised 16 true "Belongs to Service Broker dialogs.";
    28026 Documented [Initiator, Acceptor]
        "Not enough memory for the handshake."
        ["Look at the memory."]
        not_raised 10 false "Memory is not simulated; what strangers can make an endpoint hold is bounded.";
    28027 Documented [Initiator, Acceptor]
        "The two endpoints have no authentication method, encryption level or algorithm in common; the message shows both settings."
        ["Compare connection_auth_desc and encryption_algorithm_desc in sys.database_mirroring_endpoints on both sides.",
         "ALTER ENDPOINT one of them: one method and, unless encryption is DISABLED on both, one algorithm in common.",
         "REQUIRED and DISABLED never meet."]
        states [21 "authentication", 22 "algorithm", 23 "encryption level"];
    28028 Documented [Initiator, Acceptor]
        "The peer ended the connection in the middle of the handshake. It has refused this side, restarted, or is another program."
        ["Look at the error log of the other side: the reason stands there and nowhere else.",
         "There it is 28047 or 28048 with the reason quoted, or 9666."]
        states [1 "the stream ended during the login", 2 "the initiator uses another connection with this side; only in the trace"];
    28029 Documented [Initiator, Acceptor]
        "A message is well formed and out of turn for this state of the login."
        ["Look whose program is at the other end: another version, or a foreign one.", "Expect it of an attack or a test."];
    28030 Documented [Initiator, Acceptor]
        "A call of the network interface failed."
        ["Look at the network."]
        not_raised 10 false "A failure of the network ends the stream here: 28028.";
    28031 Documented [Initiator, Acceptor]
        "The operating system could not carry out the authentication: Windows refused the account, or the peer could not use its method."
        ["Look at the service account on both sides; Local System, Local Service and accounts outside the domain cannot be used.",
         "Look at the domain controller, the trust and the service principal name.",
         "With certificates: look for 28036 and 28037 on the other side."]
        states [66 "this side cannot carry out Windows authentication", 67 "the peer could not carry out the method",
         68 "Windows authentication failed on this side; its code and reason are quoted"];
    28032 Documented [Initiator, Acceptor]
        "Two connections of one direction joined the same peer; the older one stays and this one ends. Or the peer says it is an instance that comes, or came, under another login."
        ["State 1 asks for nothing.",
         "State 2: look who logs in under the name that 28048 gives; a partner whose login was changed is let in once its old login is disabled or dropped, or lacks CONNECT."]
        states [1 "another connection with the peer is used", 2 "the instance that the peer says it is has another login"];
    28033 Documented [Initiator, Acceptor]
        "Two connections of one direction joined the same peer; a newer one replaced this one."
        [];
    28034 Documented [Acceptor]
        "The peer proved who it is, and its login lacks CONNECT on the endpoint."
        ["Look at the rows of sys.server_permissions for the endpoint.",
         "GRANT CONNECT ON ENDPOINT::name TO the login; look whether a DENY stands against it.",
         "The caller sees 1418, or its session stays DISCONNECTED."]
        states [84 "no CONNECT"];
    28035 Documented [Acceptor, Initiator]
        "The certificate the peer shows is not accepted: it is not in master, or outside its dates. The reason is quoted."
        ["Compare the thumbprint in sys.certificates here with the one of the peer's certificate there.",
         "Export the peer's certificate again and create it here FROM FILE, owned by a user of the peer's login.",
         "Look at start_date, expiry_date and the clock of this system; dates are UTC."]
        states [89 "not in master", 90 "outside its dates", 91 "unreadable"];
    28036 Documented [Initiator, Acceptor]
        "The endpoint's own certificate cannot be used: it is missing, unreadable or outside its dates. The reason is quoted."
        ["Look which certificate the endpoint names: certificate_id in sys.database_mirroring_endpoints, and the row in sys.certificates.",
         "9763 with 28022 or 28023 inside: dates and clock.", "9762 inside: no such certificate.",
         "9765 inside: it has no private key, or one under a password.", "9764 inside: it is too large to be shown.",
         "Name a usable certificate in ALTER ENDPOINT."]
        states [82 "no usable private key", 83 "missing", 85 "outside its dates", 86 "unreadable", 87 "too large"];
    28037 Documented [Initiator, Acceptor]
        "The private key of the endpoint's certificate cannot be used."
        ["15581 inside: the master key does not open by itself; ALTER MASTER KEY ADD ENCRYPTION BY SERVICE MASTER KEY.", "Look at pvt_key_encryption_type_desc in sys.certificates."]
        states [88 "the key does not open"];
    28038 Documented [Initiator, Acceptor]
        "The proof does not fit: a certificate whose private key the peer does not have, or a login that was changed on its way."
        ["Look whether both sides have the current certificates of each other.", "If they have, somebody between them changes what they send."]
        states [93 "in the exchange of tokens", 94 "in the confirmation"];
    28039 Documented [Initiator, Acceptor]
        "A token of Windows authentication does not belong to the package that was agreed."
        ["Compare connection_auth_desc on both sides."];
    28040 Documented [Initiator, Acceptor]
        "Bytes on the endpoint's port do not have the form of a message."
        ["Look who calls the port: often a client, a browser or a scanner.", "The address of the caller stands in the message that quotes this one."]
        states [1 "length", 2 "flags", 3 "sequence", 4 "check value", 5 "content", 6 "kind"];
    28041 Documented [Initiator, Acceptor]
        "A message is corrupt: its encrypted part begins at a wrong place."
        ["Look who calls the port."]
        not_raised 16 false "Sealed messages have no such offset here.";
    28042 Documented [Initiator, Acceptor]
        "The peer had proved who it is, and the message that says which instance it is cannot be read."
        ["Look whose program is at the other end, and whether somebody on the way changes what is not encrypted."];
    28043 Documented [Initiator, Acceptor]
        "The peer had proved who it is, and the message that says that it uses the connection cannot be read."
        ["Look whose program is at the other end, and whether somebody on the way changes what is not encrypted."];
    28044 Documented [Initiator, Acceptor]
        "A message came in clear where encryption was agreed, or the other way round."
        ["Somebody between the two changes what they send, or the peer does not keep to the protocol."];
    28045 Documented [Acceptor, Initiator]
        "The peer's certificate has the issuer and serial number of one in master and is not that certificate."
        ["Drop the old copy here and import the current certificate of the peer."];
    28046 Documented [Acceptor]
        "A peer has logged in: user, method and address."
        [];
    28047 Documented [Acceptor]
        "A login failed before it was known who calls; the reason is quoted."
        ["Look up the quoted number: it says what to check.", "The address in the message is the caller's."];
    28048 Documented [Acceptor]
        "A login failed although it is known who calls; the reason is quoted."
        ["Look up the quoted number: 28034 is the usual one.", "The address in the message is the caller's."];
    28059 Documented [Initiator, Acceptor]
        "The peer's part of the key agreement has a wrong size or cannot be used."
        ["Somebody between the two changes what they send, or the caller is no mirroring endpoint."];
    28061 Documented [Initiator, Acceptor]
        "A sealed message does not verify: it was changed, repeated, left out or moved on its way."
        ["Somebody between the two changes what they send, or a device damages it.", "The connection ends and a new one is made by itself."];
    28070 Documented [Initiator, Acceptor]
        "The acceptor confirmed the security context with a status that says it did not accept it."
        ["Look at the error log of the other side.", "Look whose program is at the other end."];
    28076 Documented [Instance]
        "It could not be read whether the system is in FIPS mode."
        ["Look at the system's settings."]
        not_raised 10 false "There is no such setting to read.";
    28077 Documented [Instance]
        "The system allows only validated cryptography, and the transport keeps to it."
        ["Nothing to do; RC4 is refused from now on."];
    28078 Documented [Statement, Initiator, Acceptor]
        "RC4 is not allowed in FIPS mode, not even as a second choice; up to 2014 it is the default."
        ["ALTER ENDPOINT with ALGORITHM AES, on both sides."];
    28079 Documented [Initiator, Acceptor]
        "A token of Windows authentication came from the side that should not send one."
        ["Look whose program is at the other end: it may send back what it was sent."];
    28080 Documented [Instance]
        "The instance has no database mirroring endpoint."
        ["CREATE ENDPOINT on this instance; mirroring needs one on every partner and on the witness.", "A caller is refused by the operating system meanwhile: 9754.",
         "It is in the log where SET PARTNER needs an endpoint, and in the trace for the connections of one that is dropped."];
    28081 Documented [Initiator, Acceptor]
        "Sending a message of the handshake ended in an unexpected status."
        ["Look at the network."]
        not_raised 10 false "A failure of the network ends the stream here: 28028.";
    28082 Documented [Initiator, Acceptor]
        "A message could not be put together."
        ["This is a mistake of the program."]
        not_raised 10 false "Putting a message together cannot fail here.";
    28091 Documented [Instance]
        "An endpoint without any authentication cannot be started."
        ["Name a method in AUTHENTICATION."]
        not_raised 10 false "An endpoint always has a method; Windows NEGOTIATE is the default.";
    28092 Documented [Instance]
        "The settings of a proxy could not be brought up to date."
        []
        not_raised 10 false "There are no proxies here.";
    28098 Documented [Initiator]
        "The name that was looked up leads to a peer that is connected already; this connection ends."
        []
        not_raised 10 false "That is found out in the handshake: 28032.";
    28190 Ours [Instance]
        "The endpoint names Windows authentication, and the instance runs under Local System, Local Service or an account outside the domain."
        ["Use certificates: CREATE CERTIFICATE, and name it in AUTHENTICATION on both sides.", "Or run the instance under a domain account, and give it a login and CONNECT on its peers."];
    28191 Ours [Instance]
        "The endpoint names Windows authentication and the instance runs under Network Service, which shows others its computer account."
        ["On the peers: CREATE LOGIN [DOMAIN\\COMPUTER$] FROM WINDOWS, and GRANT CONNECT.", "Certificates are what the manual recommends for built-in accounts."];
}
