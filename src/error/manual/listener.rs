//! Listening: what the log says of ports, bound or not.

use super::manual;

manual! {
    1485 Documented [Instance]
        "Database mirroring is enabled on this instance."
        []
        not_raised 10 false "It always is.";
    1486 Documented [Statement, Instance]
        "The instance's own endpoint is not STARTED, or its ROLE is WITNESS, so it neither listens for partners nor calls them; or sessions are on record that its ROLE does not allow."
        ["Look at state_desc and role_desc in sys.database_mirroring_endpoints.",
         "ALTER ENDPOINT with STATE = STARTED, or with a ROLE that fits: PARTNER or ALL for partners, WITNESS or ALL for a witness."];
    1489 Documented [Instance]
        "Database mirroring was disabled on this instance by an error."
        ["Look at the log."]
        not_raised 10 false "What would disable it stops the instance here.";
    9643 Documented [Instance]
        "The transport as a whole ran into an error; the message quotes number and state."
        ["Look up the quoted number."]
        not_raised 16 false "Errors belong to one connection here: 9642.";
    9666 Documented [Initiator, Acceptor, Instance]
        "The endpoint is STOPPED or DISABLED. A DISABLED one accepts and closes; a STOPPED one does not listen."
        ["Look at state_desc in sys.database_mirroring_endpoints on this instance.", "ALTER ENDPOINT with STATE = STARTED.",
         "Callers see 1418, or the session DISCONNECTED."];
    9690 Documented [Instance]
        "The endpoint's port is bound: partners can connect."
        [];
    9691 Documented [Instance]
        "The endpoint's port was released: the endpoint was stopped, altered or dropped."
        ["If nobody meant it, look at state_desc in sys.database_mirroring_endpoints and for 9690 after it."];
    9692 Documented [Instance]
        "Another process has the endpoint's port. The catalog goes on saying STARTED, and nothing listens."
        ["Compare sys.dm_tcp_listener_states with sys.tcp_endpoints: a port that is not listened on has no row.",
         "Find the other process (netstat -abn); two instances of one system need two ports.",
         "ALTER ENDPOINT with another LISTENER_PORT, or end the other process and start the endpoint again.",
         "Callers see 1418; 26023 in the log says the same."];
    9693 Documented [Instance]
        "The endpoint cannot listen, for the reason the message quotes."
        ["LISTENER_IP must be an address of this system.", "Look at the rights of the service account."];
    9748 Documented [Instance]
        "The transport is not available."
        ["Look at the log."]
        not_raised 10 false "It always is.";
    9769 Documented [Instance]
        "Not enough memory to start the transport."
        ["Look at the memory."]
        not_raised 10 false "Memory is not simulated.";
    26022 Documented [Instance]
        "The server listens on an address and port."
        []
        not_raised 10 true "The client port is always there; the endpoint's own message is 9690.";
    26023 Documented [Instance]
        "A port could not be bound because it is in use. It may be the endpoint's: then it does not listen although the view says STARTED."
        ["Look whether 9692 follows: then it is the endpoint's port.", "Find the other process (netstat -abn)."];
    26024 Documented [Instance]
        "An address and port could not be bound; the message quotes the operating system."
        ["Look whether another process has the client port.", "Look whether the address exists on this system."];
    26037 Documented [Instance]
        "The service principal name could not be registered, so Kerberos cannot find this instance."
        ["Register it with setspn, or let the service account do it.", "NTLM still works; see 28031."];
    26040 Documented [Instance]
        "Listening stopped because of a failure and is tried again."
        ["Look at the network."]
        not_raised 17 true "A bound port stays bound.";
    26041 Documented [Instance]
        "Listening goes on after a failure."
        []
        not_raised 10 true "A bound port stays bound.";
    26054 Documented [Instance]
        "The failover cluster has no address for the instance."
        ["Look at the cluster's dependencies."]
        not_raised 16 true "There are no failover clusters here.";
    26059 Documented [Instance]
        "The service principal name of the endpoint is registered to the service account, so Kerberos finds it."
        [];
    26062 Documented [Instance]
        "The configuration of the listening port is not valid."
        ["Look at the configuration."]
        not_raised 16 true "Ports are checked before the instance starts.";
    33309 Documented [Instance]
        "The cluster's endpoint waits for its configuration."
        ["Look at the order of start."]
        not_raised 10 false "There are no failover clusters here.";
}
