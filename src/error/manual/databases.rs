//! Databases, their backups, their logs and the disks below them.

use super::manual;

manual! {
    262 Ours [Statement]
        "Databases are created, backed up and restored by administrators of the server."
        ["Run it as a member of sysadmin or with CONTROL SERVER."];
    596 Documented [Client]
        "The session was ended by the instance: the database changed its role or lost its quorum while it was used."
        ["Connect again; the failover partner of the connection string may be the principal now.",
         "Check whether the last transaction happened before repeating it."]
        not_raised 21 true "Clients are cut by closing their connections, without a word.";
    823 Documented [Instance]
        "The operating system could not carry out a read or write of the instance. What cannot be made durable is not promised: if it was master the instance stops; if it was the log of a database that database is taken out of use (9001); what a data file lacks the log has, and only a mirror suspends the session of that database. With operating system error 23 it is one page that the disk cannot read back: it is treated as a damaged one (824)."
        ["Look at the disk: errors, space, cables.", "If it names a page and the database is mirrored: wait for 1461; the page is fetched from the partner.", "If the instance stopped, start it again; recovery says what the disk has kept.", "After 1454: RESUME on the principal, once the disk is well.",
         "Restore from a backup, or remove and re-establish mirroring, if the database does not open."];
    824 Documented [Instance]
        "A page of a data file was read and is not what was written: its checksum, or its number, is wrong. Its rows are not used any more."
        ["If the database is mirrored and the partners are connected: wait for 1461; the page is fetched from the partner.",
         "Otherwise restore the database from backups.", "Look at the disk."];
    829 Documented [Statement, Client]
        "The rows lie on a page that was found damaged and is not restored yet."
        ["Look for 823, 824, 1432, 1461 and 1481 in the log.", "Try again after 1461.",
         "If the database is not mirrored: restore it from backups."];
    911 Documented [Statement, Client]
        "The instance has no database of this name."
        ["Compare the name.", "Make sure that the statement runs on the right instance."];
    916 Documented [Client, Statement]
        "The login has no user in the database; here only administrators of the server use user databases."
        ["Connect as a member of sysadmin or a login with CONTROL SERVER."];
    926 Documented [Statement, Client, Instance]
        "The files of the database are damaged or could not be read, so it is not opened: its contents could not be trusted."
        ["Read the reason the message quotes.", "Look for 823 in the log.",
         "On a partner: remove mirroring, restore the database and set it up again; the other partner has its copy."];
    927 Documented [Statement, Client]
        "The database waits for further backups: it was restored WITH NORECOVERY."
        ["Restore the remaining log backups, or RESTORE DATABASE WITH RECOVERY if there are none.",
         "A future mirror stays in this state until SET PARTNER."];
    945 Documented [Statement, Client]
        "The log of the database failed while it was used (9001), so that nothing could be promised any more."
        ["Look for 823 and 9001 in the log of the instance: they name the file and what the disk said.",
         "If it is mirrored, use the other partner: it may have taken over, or can be forced.",
         "Mend the disk, then start the instance again: the database is recovered from its files."];
    954 Documented [Statement, Client]
        "This instance is the mirror of the database, and a mirror serves nobody."
        ["Connect to the principal; sys.database_mirroring names it.",
         "Give applications a failover partner in their connection string."];
    955 Documented [Statement, Client]
        "The principal sees neither its partner nor its witness, so it cannot know whether the partner has taken over, and stops serving."
        ["Look at the links to both: mirroring_state_desc and mirroring_witness_state_desc in sys.database_mirroring.",
         "Look for 1479 and 1474 in the log: they say which link broke, and why.",
         "Bring one of the two back; service resumes by itself."];
    956 Documented [Statement, Client]
        "The database is changing its role or waits for its quorum."
        ["Try again after a moment.", "If it stays so, look as for 955."]
        not_raised 14 false "A principal that waits for its quorum, or hands its role over, answers 955; a mirror 954.";
    1801 Documented [Statement]
        "The instance has a database of this name."
        ["Choose another name, or drop the database."];
    3013 Documented [Statement]
        "A backup or restore ended without effect; the message names the reason."
        ["Read the reason it quotes."];
    3035 Documented [Statement]
        "There is no full backup that the differential one could build on."
        ["Take a full backup first: BACKUP DATABASE without DIFFERENTIAL.", "A backup taken just before a crash may be forgotten: take it again."];
    3043 Documented [Statement]
        "A page of the data file cannot be read, so that a backup would not be one of the whole database."
        ["Wait until the partner has repaired it (1461), if the database is mirrored.", "Otherwise restore from the backups there are."];
    3117 Documented [Statement]
        "The database is not waiting for backups: it was recovered, or never restored."
        ["Restore the full backup WITH NORECOVERY first."];
    3136 Documented [Statement]
        "The copy was not restored from the full backup that this differential one builds on."
        ["Restore that full backup WITH NORECOVERY, then this one.", "A later full backup that is not COPY_ONLY becomes the base of the differential ones after it."];
    3159 Documented [Statement]
        "The restore would overwrite a database whose log has not been backed up, or that is mirrored."
        ["Back up the tail of the log, or say WITH REPLACE.",
         "Remove mirroring first with SET PARTNER OFF."];
    3169 Documented [Statement]
        "A backup of a newer version of the product cannot be restored by an older one."
        ["Compare SERVERPROPERTY('ProductVersion') of both instances.", "Upgrade this instance; a session wants the same version on all of its instances."];
    3201 Documented [Statement]
        "The backup file is not there, exists already, or the disk refuses it."
        ["Compare the path; it is a path on the instance's own system.", "Look at space and health of the disk."];
    3241 Documented [Statement]
        "The file is no backup, or a damaged one."
        ["Compare the path.", "Take the backup again; look at the disk it lay on."];
    3313 Documented [Mirror]
        "Redo met a page of the data file that it cannot do without and that is never repaired: the file header, the boot page, an allocation page, the list of tables."
        ["The session stays suspended, and RESUME is refused (1462).",
         "Remove mirroring, look at the disk, restore the mirror, set the session up again."];
    3411 Documented [Instance]
        "The master database cannot be read, and without it there are no logins, endpoints or sessions."
        ["Look at the disk of the instance.", "Restore master, or rebuild it and set the instance up again."];
    3702 Documented [Statement]
        "Clients use the database, the own session included, or RESTORE LOG of it is under way."
        ["USE master, and end the other sessions.", "Wait until RESTORE LOG is answered."];
    4060 Documented [Client]
        "The database named at connect cannot be opened on this instance."
        ["Compare the name.", "On a partner this is usual: connect to the other one. The messages 954 and 955 say which case it is."];
    4064 Documented [Client]
        "The client names no database, and the default database of its login cannot be opened."
        ["Name a database at connect: master can always be.", "Set another with ALTER LOGIN … WITH DEFAULT_DATABASE.", "On a mirror this is usual: connect to the principal; 4060 is the same for a database named at connect."];
    4208 Documented [Statement]
        "Under the simple recovery model log is given up as soon as the data file holds it, so there is none to back up."
        ["Set the recovery model to FULL and take a full backup, or leave log backups out."];
    4214 Documented [Statement]
        "The chain of log backups begins with a full backup, and none was taken."
        ["Take a full backup first.", "A backup taken just before a crash may be forgotten: take it again."];
    4305 Documented [Statement]
        "Log is missing between what the database has and what this backup begins with."
        ["Restore the log backups in the order in which they were taken; an earlier one is missing."];
    4326 Documented [Statement]
        "The database has all that this backup holds."
        ["Go on with the next log backup."];
    4330 Documented [Statement]
        "The copy was restored along another recovery path than the one this backup belongs to: one of the two was recovered on its own, or service was forced, and each has gone its own way since."
        ["Restore anew, from a full backup of the path that is to be followed.", "To be a mirror the copy must be of the principal's path."];
    5011 Documented [Statement]
        "The caller may not alter the database."
        ["Run it as a member of sysadmin or with CONTROL SERVER."];
    5041 Documented [Statement]
        "The database has no file of this logical name. The log of a database x is called x_log."
        ["Compare the name."];
    5058 Documented [Statement]
        "The option is none of a system database."
        ["Mirror user databases; what lives in master (logins, certificates, endpoints) is set up on every instance by hand."];
    9001 Documented [Instance]
        "The log of the database could not be written, or a data file from which something had to be taken back. The database is taken out of use; other databases of the instance are not. Its partner and its witness are told at once, as if the links of its session had broken."
        ["Look at 823 before it for what the disk said.", "Look whether the partner has taken over: sys.database_mirroring there.",
         "Mend the disk, then start the instance again.", "Or SET PARTNER OFF and restore the database from backups."];
    9002 Documented [Statement, Instance]
        "The transaction log has no room for another record. A principal keeps log until its mirror has it, so a lost or slow mirror fills it."
        ["Look at mirroring_state_desc: a DISCONNECTED or SUSPENDED session holds the log.",
         "Bring the mirror back, or remove mirroring.", "Back up the log."];
    9003 Derived [Principal]
        "The log on disk ends before a point that is known to have been hardened: the disk lost log that may hold acknowledged commits."
        ["Bring the mirror up: it holds the log and takes the principal role over.",
         "Otherwise SET PARTNER OFF serves what is left, or restore from backups.", "Look at the disk."];
    9004 Ours [Instance]
        "The log ends in bytes that are no log; recovery discards them. A write that was under way at a power loss leaves such bytes."
        ["Nothing, after a power loss.", "Otherwise look at the disk."];
}
