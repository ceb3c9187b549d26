//! CREATE, ALTER and DROP ENDPOINT.

use super::manual;

manual! {
    7801 Documented [Statement]
        "A parameter the endpoint needs is missing: LISTENER_PORT, or ROLE."
        ["Add it; the message names it."];
    7803 Documented [Statement]
        "The clause exists for another statement: AUTHORIZATION belongs to CREATE, not to ALTER."
        ["Use ALTER AUTHORIZATION ON ENDPOINT to change an owner."];
    7804 Documented [Statement]
        "Two parameters may not have the same value."
        ["Change one of them."]
        not_raised 15 false "No two parameters of this endpoint could clash.";
    7809 Documented [Statement]
        "The endpoint is not there, or the caller may not see it."
        ["Compare the name with sys.endpoints.", "Look at the caller's permissions."]
        not_raised 10 false "15151 is raised for the same situation.";
    7810 Documented [Statement]
        "A number is outside what its parameter allows."
        ["LISTENER_PORT lies between 1024 and 32767."];
    7814 Documented [Statement]
        "The value exists already."
        ["Look at sys.endpoints."]
        not_raised 10 false "Concerns lists of values that this endpoint does not have.";
    7815 Documented [Statement]
        "The value does not exist."
        ["Look at sys.endpoints."]
        not_raised 10 false "Concerns lists of values that this endpoint does not have.";
    7816 Documented [Statement]
        "A parameter is given twice."
        ["Leave one of them out."];
    7830 Documented [Statement]
        "The statement was not completed because of an unexpected error."
        ["Look at the log."]
        not_raised 16 false "Whatever hinders an endpoint statement here has a number of its own.";
    7835 Documented [Instance]
        "The endpoint was disabled at start because its configuration is not secure."
        ["ALTER ENDPOINT with STATE = STARTED says what is wrong."]
        not_raised 16 true "A configuration that is not secure cannot be created.";
    7860 Documented [Statement]
        "ALTER cannot change an endpoint's transport or what it carries."
        ["DROP it and CREATE it anew."];
    7861 Documented [Statement]
        "Transport and content do not go together: database mirroring goes over TCP."
        ["Write AS TCP and FOR DATABASE_MIRRORING."];
    7862 Documented [Statement]
        "The instance has its database mirroring endpoint, and one is all it may have. Mirroring and availability groups share it."
        ["Look at sys.database_mirroring_endpoints.", "ALTER the one there is, or DROP it."];
    7863 Documented [Statement]
        "ALTER ENDPOINT without anything to change."
        ["Add what should change."];
    7864 Documented [Statement]
        "The dedicated administrator connection's endpoint is reserved."
        ["Choose another endpoint."];
    7869 Documented [Statement]
        "The name begins with a prefix that is reserved; the manual does not say which, here it is ##MS_."
        ["Choose another name."];
    7870 Documented [Statement]
        "AFFINITY does not exist for this kind of endpoint."
        ["Leave AFFINITY out."];
    7871 Documented [Statement]
        "A clause does not belong to this kind of endpoint: MESSAGE_FORWARDING is Service Broker's, ROLE is mirroring's."
        ["Compare the clauses with those of FOR DATABASE_MIRRORING."];
    7873 Documented [Statement]
        "A built-in endpoint cannot be dropped."
        ["Choose another endpoint."];
    7874 Documented [Statement]
        "Another endpoint of this instance has the same address and port."
        ["Choose another LISTENER_PORT; the client port is taken too."];
    7878 Documented [Statement]
        "Express can only be a witness: its endpoint has ROLE = WITNESS."
        ["Write ROLE = WITNESS.", "Use another edition for a partner."];
    7887 Documented [Statement, Instance]
        "An IPv6 address is not written in its canonical numeric form."
        ["Write the address in its shortest form, in small letters."];
    7888 Documented [Statement, Instance]
        "What stands in quotation marks after LISTENER_IP is no IPv6 address."
        ["Write an IPv4 address in parentheses without quotation marks.", "Look at the system's addresses."];
    7890 Documented [Statement]
        "The endpoint could not be registered; another process may have its port. Raised only by an instance that is told to be strict; others log 9692."
        ["Look for the process that has the port, or choose another port.", "See 9692 and 26023 in the error log."];
    7894 Documented [Instance]
        "master has an endpoint, and this edition has none."
        ["Use another edition."]
        not_raised 16 true "An edition does not change between two starts.";
}
