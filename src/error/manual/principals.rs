//! Logins, users, permissions and who owns what.

use super::manual;

manual! {
    300 Documented [Statement]
        "Dynamic management views show the whole server and ask for a permission on it."
        ["Have VIEW SERVER STATE granted, or ask an administrator."];
    4611 Documented [Statement]
        "The principal holds the permission with grant option and may have passed it on; without CASCADE that would stay."
        ["Say CASCADE, and look in sys.server_permissions who else loses it."];
    4613 Documented [Statement]
        "AS names a principal that may not grant this permission itself."
        ["Name one that owns the securable, administers it or holds the permission with grant option."];
    4617 Documented [Statement]
        "A fixed role has the permissions it has."
        ["Grant to the logins, or to public."];
    4621 Documented [Statement]
        "Permissions on endpoints and servers are kept in master."
        ["USE master, then run the statement again."];
    4624 Documented [Statement]
        "Nothing can be granted to or taken from sa, the owner of the securable or whoever runs the statement."
        ["Look at who owns it: an owner needs no permission.", "Let somebody else run the statement."];
    15007 Documented [Statement]
        "There is no login of this name."
        ["Compare the name with sys.server_principals.", "Create the login first."];
    15010 Documented [Statement]
        "DEFAULT_DATABASE names a database that is not there."
        ["Look up the names in sys.databases."];
    15014 Documented [Statement]
        "sp_addrolemember or sp_droprolemember names a role that the current database does not have."
        ["The role there is is dbm_monitor, in msdb: USE msdb first."];
    15023 Documented [Statement]
        "The database has a user, group or role of this name."
        ["Choose another name, or use the user there is."];
    15025 Documented [Statement]
        "The instance has a login of this name."
        ["Choose another name, or use the login there is."];
    15033 Documented [Statement]
        "DEFAULT_LANGUAGE names no language of the product."
        ["Write the name or the alias of sys.syslanguages: us_english, or German for Deutsch."];
    15063 Documented [Statement]
        "The login is mapped to another user of this database, and may be mapped once."
        ["Look the user up in sys.database_principals and use it."];
    15099 Documented [Statement]
        "A password that must be changed is one that expires."
        ["Add CHECK_EXPIRATION = ON, or leave MUST_CHANGE out."];
    15122 Documented [Statement]
        "Expiration is a part of the password policy."
        ["Leave CHECK_POLICY on, or set CHECK_EXPIRATION = OFF too."];
    15141 Documented [Statement]
        "The principal owns something, and what it owns would be without an owner."
        ["Find what it owns: an endpoint, a certificate.", "Give it another owner with ALTER AUTHORIZATION, or drop it first."];
    15150 Documented [Statement]
        "What the database was born with cannot be dropped."
        ["Leave dbo where it is."];
    15151 Documented [Statement]
        "The object is not there, or the caller may not see or change it; the message does not say which, on purpose."
        ["Compare the name with the catalog view of its kind.", "Look at the caller's permissions."];
    15155 Documented [Statement]
        "The principal owns something in a database and cannot be dropped."
        ["Give it another owner with ALTER AUTHORIZATION."]
        not_raised 16 false "15141 is raised for server principals; users own certificates only, and those name the owner.";
    15173 Documented [Statement]
        "The login has granted permissions to others."
        ["Look them up in sys.server_permissions by its grantor.", "REVOKE them AS that login, then drop it."];
    15247 Documented [Statement]
        "The caller lacks the permission or role that the statement needs."
        ["Run it as an administrator, or have the permission granted."];
    15401 Documented [Statement]
        "CREATE LOGIN FROM WINDOWS names an account that the domain controller does not know, or one of a domain that is not trusted; or the system is in no domain with a controller, and knows no accounts at all."
        ["Look at the spelling: DOMAIN\\user, or DOMAIN\\COMPUTER$ for a system.", "Look at the trust between the domains.", "Outside a domain, use certificates."];
    15403 Documented [Statement]
        "The server principal is not there, has no access, or the caller may not see it."
        ["Compare the name with sys.server_principals."];
    15404 Documented [Statement]
        "CREATE LOGIN FROM WINDOWS could not ask the domain controller about the account."
        ["Look whether the controller runs and can be reached on port 88.", "Run the statement again."];
    15405 Documented [Statement]
        "dbo may everything in its database and is a member of no role."
        ["Name another user; who is dbo needs no role."];
    15410 Documented [Statement]
        "sp_addrolemember or sp_droprolemember names somebody who is no user of the database."
        ["Create the user first: CREATE USER x FOR LOGIN x.", "Look the names up in sys.database_principals."];
    15413 Documented [Statement]
        "A role is to become a member of itself."
        ["Name a user."];
    15419 Documented [Statement]
        "SID gives a login with a password an identifier of 16 bytes."
        ["Write 0x and 32 digits, as sys.server_principals shows it on the instance it is taken from."];
    15433 Documented [Statement]
        "Two logins cannot be one: the SID is that of another."
        ["Compare it with sys.server_principals, and leave SID out if it need not be that one."];
    15434 Documented [Statement]
        "A client is logged in as this login."
        ["End its connections, or DISABLE the login until they have ended."];
    15530 Documented [Statement]
        "An object of this kind has this name."
        ["Choose another name, or use the object there is."];
    17809 Documented [Instance]
        "More connections to the client port than the bound have not logged in; the oldest of the address that holds most of them was closed."
        ["Look at the address: programs that connect and say nothing come from there.",
         "Clients that log in are let in all the while."];
    17830 Documented [Instance]
        "A program connected to the client port and did not log in in time."
        ["Look at the address: a port scanner, a load balancer's probe, or another protocol that waits for the server to speak first."];
    18456 Documented [Client, Instance]
        "A client could not log in on the client port."
        ["Look at the user's name.", "An endpoint's port speaks another protocol: clients connect to the client port."];
}
