//! Connections between endpoints: opening them, and what ends them.

use super::manual;

manual! {
    9621 Documented [Initiator, Acceptor]
        "A message could not be dealt with; number and state are quoted."
        ["Look up the quoted number."]
        not_raised 16 false "Errors of a connection are reported with 9642.";
    9635 Documented [Initiator, Acceptor]
        "A certificate is not valid at this time."
        ["Look at its dates and at the clock."]
        not_raised 16 false "9763 says so inside 28035 and 28036.";
    9636 Documented [Initiator, Acceptor]
        "The object that was asked for was not found."
        ["Look at sys.certificates."]
        not_raised 16 false "9762 says so inside 28035 and 28036.";
    9641 Documented [Initiator, Acceptor]
        "A cryptographic operation that was agreed cannot be carried out; the message says which."
        ["Look at ALGORITHM on both sides; AES is always there."]
        not_raised 16 false "AES and RC4 are always there.";
    9642 Documented [Initiator, Acceptor]
        "A connection between two endpoints failed or ended with an error. The message quotes number and state, the role of this side, and the address of the other."
        ["Look up the quoted number.", "28028 inside: the reason stands in the log of the other side.",
         "Near endpoint role Connect: this side called. Accept: it was called."];
    9645 Documented [Instance]
        "The manager of Service Broker ran into an error."
        ["Look up the quoted number."]
        not_raised 16 false "Service Broker is not simulated; mirroring uses 9642.";
    9647 Documented [Acceptor]
        "A malformed message came from the network: a foreign program, or a fault."
        ["Look who calls the port."]
        not_raised 16 true "Malformed bytes are reported with 28040 or 9757, quoted in 28047.";
    9649 Documented [Initiator]
        "Windows authentication failed while connecting to another broker."
        ["Look at the log of Windows."]
        not_raised 16 true "Mirroring reports it with 28031.";
    9722 Documented [Initiator]
        "A connection attempt to a destination failed."
        ["Look as for 9754."]
        not_raised 10 false "The same event in newer versions; 9754 is raised.";
    9743 Documented [Instance]
        "A route's address needs something more for mirroring."
        ["Look at the route."]
        not_raised 16 false "Belongs to Service Broker routes.";
    9751 Documented [Initiator, Acceptor]
        "Authentication failed; the text is quoted."
        ["Read the quoted text."]
        not_raised 10 false "28027 to 28048 tell the reasons apart.";
    9752 Documented [Acceptor]
        "The account of the remote server has no login here."
        ["CREATE LOGIN for the account FROM WINDOWS in master and GRANT CONNECT on the endpoint.", "The account has a login: look at is_disabled in sys.server_principals, and whether the account was deleted and created again, which gives it another SID."];
    9754 Documented [Initiator]
        "The connection to the peer's port could not be opened. The operating system's reason is quoted."
        ["10061: nobody listens there. Look at the peer's state_desc, at its LISTENER_PORT, and for 9690 to 9693 in its log.",
         "10060: silence. Look at the firewalls on both systems and whether the system is up.",
         "10065: no route. Look at the network."];
    9755 Documented [Initiator, Acceptor]
        "Receiving failed."
        ["Look at the network."]
        not_raised 10 false "The stream ends then, and the session reports the lost link: 1474.";
    9756 Documented [Initiator]
        "An internal exception while connecting."
        ["Look at the log."]
        not_raised 10 false "There are no exceptions here.";
    9757 Documented [Initiator, Acceptor]
        "What came over the connection is not this protocol, or another version of it."
        ["Look who calls the port, or whom this address reaches: a client port, a web server, another program.",
         "Compare the versions of both sides."]
        states [1 "another protocol", 2 "another version"];
    9758 Documented [Initiator, Acceptor]
        "The two sides could not agree on a login protocol."
        ["Compare the versions of both sides."]
        not_raised 10 false "There is one version of the login; other ones are reported with 9757.";
    9759 Documented [Initiator, Acceptor]
        "Sending failed."
        ["Look at the network."]
        not_raised 10 false "The stream ends then, and the session reports the lost link: 1474.";
    9760 Ours [Initiator, Acceptor]
        "The connection was open and its login did not complete in time: the peer is stuck, cut off, or never meant to log in."
        ["Look at the network between the two: packets of an open connection may be dropped by a firewall.",
         "Look who calls: half-open logins are what a scanner leaves."];
    9762 Documented [Initiator, Acceptor]
        "The certificate is not there: the one the endpoint names, or a copy of the one the peer shows."
        ["See 28036 and 28035, which quote it."]
        not_raised 10 false "It is quoted inside 28036 and 28035.";
    9763 Documented [Initiator, Acceptor]
        "The certificate is not valid now."
        ["See 28036 and 28035, which quote it with the date."]
        not_raised 10 false "It is quoted inside 28036 and 28035.";
    9764 Documented [Initiator, Acceptor]
        "The certificate is too large."
        ["Take a certificate of a usual size."]
        not_raised 10 false "It is quoted inside 28036.";
    9765 Documented [Initiator, Acceptor]
        "The certificate has no private key."
        ["See 28036."]
        not_raised 10 false "It is quoted inside 28036: an endpoint cannot name such a certificate (28055), but one it names can lose its key.";
    9766 Documented [Initiator, Acceptor]
        "Looking a certificate up failed for a reason of its own."
        ["See 28036 and 28035, which quote it."]
        not_raised 10 false "It is quoted inside 28036 and 28035.";
    9783 Documented [Initiator]
        "The name of the peer's system could not be resolved."
        ["Look the name up on this system.", "Use the fully qualified name in the server network address.",
         "The caller of SET PARTNER sees 1418."];
    9785 Documented [Initiator]
        "The address of the peer is not valid."
        ["Look at the server network address."]
        not_raised 10 false "An address is checked by the statement that gives it: 1449.";
    9786 Documented [Acceptor]
        "The user's name could not be read from the security context."
        ["Look at the domain controller."]
        not_raised 10 false "The name is part of the token here.";
    33128 Ours [Initiator, Acceptor, Instance]
        "An endpoint names RC4, or a connection uses it. RC4 is deprecated: much text under one key gives some of it away."
        ["ALTER ENDPOINT with ALGORITHM AES on every partner and on the witness, one after the other; AES RC4 meanwhile."];
    33311 Documented [Initiator]
        "Waiting for a connection to be complete failed."
        ["Look at the network."]
        not_raised 10 false "9754 is raised.";
    33313 Documented [Initiator, Acceptor]
        "Not enough memory in the transport; the connection was closed."
        ["Look at the memory."]
        not_raised 16 false "Memory is not simulated; what strangers can make an endpoint hold is bounded.";
}
