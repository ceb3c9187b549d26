//! Certificates and keys: making, exporting and importing them, and when an endpoint can use them.

use super::manual;

manual! {
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
        "The certificate was imported and has no private key here."
        ["Export the private key on the instance where the certificate was created."];
    15297 Documented [Statement]
        "The data of a certificate or key are not valid."
        ["Take the file from its origin again."]
        not_raised 16 false "A file that holds no certificate is reported with 15208.";
    15299 Documented [Statement]
        "The signature of the public key is not valid."
        ["Take the file from its origin again."]
        not_raised 16 false "A file that holds no certificate is reported with 15208.";
    15345 Documented [Statement]
        "Roles, groups and principals mapped to certificates cannot own an object of this kind."
        ["Name a user in AUTHORIZATION."]
        not_raised 16 false "There are no such principals here.";
    15352 Documented [Statement]
        "Something depends on the certificate: an endpoint names it, or a principal is mapped to it."
        ["Let the endpoint name another certificate first with ALTER ENDPOINT."];
    15464 Documented [Statement]
        "The format or length of the private key is not supported."
        ["Take a key of a supported kind."]
        not_raised 16 false "Private keys are made here and not imported.";
    15465 Documented [Statement]
        "The password does not open the private key."
        ["Use the password it was exported with."]
        not_raised 16 false "Private keys are made here and not imported.";
    15474 Documented [Statement]
        "Private key and certificate do not belong together."
        ["Import both files of one backup."]
        not_raised 16 false "Private keys are made here and not imported.";
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
        ["Drop the login or user first."]
        not_raised 10 false "No principal is mapped to a certificate here; a certificate's owner is a user.";
    15578 Documented [Statement]
        "master has its master key."
        ["Use it; private keys are encrypted with it already."];
    15581 Documented [Statement]
        "A private key needs the master key of the database, and there is none."
        ["CREATE MASTER KEY ENCRYPTION BY PASSWORD in master, then run the statement again.",
         "In a handshake the endpoint cannot use its certificate then: 28036 or 28037."];
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
