//! Certificates and keys: making, exporting and importing them, and when an endpoint can use them.

use super::manual;

manual! {
    9639 Documented [Statement]
        "DECRYPTION BY PASSWORD was given for a private key that is not encrypted."
        ["Leave the password out."];
    15208 Documented [Statement]
        "The file that should hold a certificate is missing, unreadable or damaged."
        ["Compare the path; it is a path on the instance's own system.",
         "Back the certificate up again on the other instance and copy the file."];
    15212 Documented [Statement]
        "A certificate's subject is empty or too long."
        ["Give a subject within the limits."];
    15213 Documented [Statement]
        "The certificate would end before it begins."
        ["Look at START_DATE and EXPIRY_DATE; both are UTC."];
    15214 Documented [Statement]
        "The certificate's end lies in the past. It exists, and no handshake accepts it."
        ["Look at EXPIRY_DATE and at the clock of the system; both are UTC.", "See 28023 and 28055."];
    15215 Documented [Statement]
        "The certificate's start lies in the future. Until then no handshake accepts it."
        ["Look at START_DATE and at the clock of the system; both are UTC.", "See 28022 and 28055."];
    15232 Documented [Statement]
        "A certificate of this name, or this very certificate under another name, is in the database."
        ["Look at sys.certificates: name and thumbprint."];
    15240 Documented [Statement]
        "The file cannot be written: it exists, the path is wrong, or the disk refuses."
        ["Choose another file; an existing one is never overwritten.", "Look at rights and space."];
    15246 Documented [Statement]
        "The certificate was imported without its private key, or the key was removed."
        ["Export the private key on the instance where the certificate was created."];
    15297 Documented [Statement]
        "A BINARY literal holds no certificate, or one that was not signed with its own key; a file is reported with 15208 or 15299."
        ["Take the bytes from their origin again."];
    15299 Documented [Statement]
        "The file holds a self-signed certificate that was not signed with its own key: it was changed."
        ["Take the file from its origin again."];
    15313 Documented [Statement]
        "The password given is none of the key's, or the key is under no password at all."
        ["For the master key: use the password of CREATE or ALTER MASTER KEY.",
         "For a certificate: pvt_key_encryption_type_desc in sys.certificates tells what its key is under."];
    15315 Documented [Statement]
        "The session closes a master key it has not opened. One that opens by itself is never closed."
        ["OPEN MASTER KEY counts for its own session only."];
    15345 Documented [Statement]
        "Roles, groups and principals mapped to certificates cannot own a certificate."
        ["Name a user of an ordinary login in AUTHORIZATION."];
    15352 Documented [Statement]
        "Something depends on the certificate: an endpoint names it."
        ["Let the endpoint name another certificate first with ALTER ENDPOINT."];
    15464 Documented [Statement]
        "The format or length of the private key is not supported: it is no PKCS #8, or of a kind that cannot sign a handshake."
        ["Take a file that BACKUP CERTIFICATE wrote, or a PKCS #8 key of Ed25519, ECDSA or RSA."];
    15465 Documented [Statement]
        "The password does not open the private key, or none was given for one that has it."
        ["Use the password it was exported with in DECRYPTION BY PASSWORD."];
    15474 Documented [Statement]
        "Private key and certificate do not belong together."
        ["Import both files of one backup."];
    15507 Documented [Statement]
        "A key that is needed is damaged."
        ["Restore master, or make the key anew."]
        not_raised 16 false "Keys lie in master, whose pages are checked: damage is found when it is opened, 3411.";
    15508 Documented [Statement]
        "A key could not be made."
        ["Look at the log."]
        not_raised 16 false "Making a key cannot fail here.";
    15559 Documented [Statement]
        "A principal is mapped to the certificate."
        ["Drop the login first: type C in sys.server_principals."];
    15578 Documented [Statement]
        "master has its master key."
        ["Use it; private keys are encrypted with it already."];
    15580 Documented [Statement]
        "The private key of a certificate is under the master key, which is therefore not dropped."
        ["Drop the certificate, remove its private key, or put it under a password."];
    15581 Documented [Statement]
        "A private key needs the master key of the database, and there is none, or none that opens."
        ["CREATE MASTER KEY ENCRYPTION BY PASSWORD in master, then run the statement again.",
         "If there is one that lost its copy under the service master key: OPEN MASTER KEY in the same session.",
         "In a handshake the endpoint cannot use its certificate then: 28037. Opening the key in a session does not help it; ALTER MASTER KEY ADD ENCRYPTION BY SERVICE MASTER KEY does."];
    28055 Documented [Statement]
        "The endpoint is to authenticate with a certificate that cannot do so: no private key under the master key, or outside its dates."
        ["Look at pvt_key_encryption_type_desc, start_date and expiry_date in sys.certificates.",
         "Name the certificate that was created here, not an imported one.",
         "Look at the clock; dates are UTC."];
    28060 Documented [Statement]
        "The operating system offers no AES."
        ["Choose another ALGORITHM, or another system."]
        not_raised 16 false "AES is part of the program.";
}
