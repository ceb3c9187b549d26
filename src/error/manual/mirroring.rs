//! Mirroring sessions: what their statements answer and their partners log.

use super::manual;

manual! {
    1401 Documented [Instance]
        "The thread that controls mirroring could not be started."
        ["Look at the entry before it in the log, and restart the service."]
        not_raised 21 true "There is no such thread here.";
    1402 Documented [Witness, Principal, Mirror]
        "The witness knows nothing of the session: its record is gone, or it is another instance than the partners think."
        ["Look at sys.database_mirroring_witnesses on the witness.", "SET WITNESS OFF and SET WITNESS again on the principal."];
    1403 Documented [Witness]
        "The witness got an error as an answer from an instance."
        ["Look at the logs of both."]
        not_raised 16 true "A partner that refuses the witness says so to whoever ran the statement.";
    1404 Documented [Statement]
        "Another command of the session is under way."
        ["Wait for it; PARTNER OFF alone is always taken.", "Every command ends by itself within its deadline: 1418, 1421 or 1433."];
    1405 Documented [Statement]
        "The database is mirrored already."
        ["Look at sys.database_mirroring.", "SET PARTNER OFF first if the session should be another."];
    1406 Documented [Statement]
        "The copy was the principal before, lost its role to the other partner, and was about to be rolled back to what that one has."
        ["Bring the other partner back: this copy then synchronizes by itself.", "Otherwise SET PARTNER OFF and RESTORE DATABASE WITH RECOVERY."];
    1407 Documented [Statement]
        "The database on the other instance does not come from a backup of this one."
        ["Restore it there from a backup of this database, WITH NORECOVERY, and all log backups since."];
    1408 Documented [Statement]
        "The other copy lacks log that this one has no longer at hand."
        ["Restore the log backups taken since its full backup, WITH NORECOVERY."];
    1409 Documented [Statement]
        "The other copy needs further log backups before it can be the mirror."
        ["Restore the log backups, WITH NORECOVERY."]
        not_raised 16 false "1408 and 1412 tell the cases apart.";
    1410 Documented [Statement]
        "The other copy belongs to a mirroring session."
        ["Look at sys.database_mirroring there.", "SET PARTNER OFF there if the session is an old one."];
    1411 Documented [Statement]
        "The files of the other copy are not at a common point."
        ["Restore further log backups."]
        not_raised 16 false "A database has one data file here.";
    1412 Documented [Statement]
        "The other copy ends at a point that is not within this database's log."
        ["Take a log backup here and restore it there, WITH NORECOVERY.", "If the point lies ahead of this database, the copy is of another history: restore it anew."];
    1413 Documented [Statement, Principal]
        "The link to the other instance broke between the start of the command and its end."
        ["Look at both logs for 1474, 1479 and 9642.", "Run the statement again once the link is up."];
    1414 Documented [Statement]
        "The database was closing before mirroring was ready."
        ["Try again."]
        not_raised 16 false "Databases do not close by themselves here.";
    1415 Documented [Statement]
        "The mirroring operation failed."
        ["Look at the log."]
        not_raised 16 false "Whatever hinders an operation here has a number of its own.";
    1416 Documented [Statement]
        "The database is not mirrored on this instance."
        ["Look at sys.database_mirroring.", "SET PARTNER first; on the mirror before the principal."];
    1417 Documented [Statement]
        "An administrator has disabled mirroring."
        ["Ask the administrator."]
        not_raised 16 false "There is no such switch here.";
    1418 Documented [Statement]
        "The other instance could not be reached over mirroring endpoints. It is the answer to everything that keeps two endpoints apart, refused logins included: a peer that refuses drops the connection without saying why, and only its own log knows."
        ["Is the mirror database ready: restored WITH NORECOVERY and SET PARTNER run there first?",
         "Are name and port in the address those of the other system's endpoint? Look at sys.tcp_endpoints there.",
         "Is the endpoint STARTED on both? Look at state_desc in sys.database_mirroring_endpoints; see 9666 and 1486.",
         "Does it really listen? A port taken by another process leaves it STARTED and deaf: 26023 and 9692 in its log, no row in sys.dm_tcp_listener_states.",
         "Does the name resolve and the firewall let both directions pass, on both systems? Here see 9783 and 9754.",
         "Was the login refused? In the other instance's log look for 28047 and 28048; here 28028 stands inside 9642.",
         "The quoted reasons: 28034 lacks CONNECT, 28035 certificate, 28027 no common authentication or encryption, 28031 Windows account.",
         "Do the roles allow it? ROLE must be PARTNER or ALL on both partners.",
         "Remember that the mirror calls back: check all of this in both directions."];
    1419 Documented [Statement]
        "The other copy cannot be opened as a mirror: it is recovered, or of another name."
        ["Restore it WITH NORECOVERY there.", "Compare the names."];
    1420 Documented [Statement]
        "The name of the local host is not available."
        ["Look at the network configuration."]
        not_raised 16 false "A system always has its name here.";
    1421 Documented [Statement, Principal]
        "The other instance did not answer in time; the command may be half done."
        ["Look at sys.database_mirroring on both sides for what has happened.", "Look at the link: 1479 and 1474 in the logs.", "Run the command again."];
    1422 Documented [Statement]
        "The mirror lacks changes, so it may not take over."
        ["Wait until mirroring_state_desc is SYNCHRONIZED on the principal."];
    1423 Documented [Statement]
        "A property of the session is unknown."
        ["Compare the versions of both sides."]
        not_raised 16 false "Properties are part of the protocol here.";
    1424 Documented [Statement]
        "The remote instance has a newer value of a property."
        ["Look at the view there."]
        not_raised 16 false "The higher sequence number wins by itself.";
    1425 Documented [Statement]
        "The value of a property is not valid."
        ["Compare the value with what the option allows."];
    1426 Documented [Statement]
        "A witness can be set while all three instances see each other and the mirror is caught up, and that is not so."
        ["Look at mirroring_state_desc: it must be SYNCHRONIZED.",
         "Look at the links of the triangle: each of the three must reach both others.",
         "Look at the witness' log for 28047 and 28048."];
    1427 Documented [Statement]
        "The instance cannot be a witness: its endpoint's ROLE does not allow it, or it refuses for another reason."
        ["ROLE must be WITNESS or ALL on its endpoint: role_desc in sys.database_mirroring_endpoints there.", "Look at its log."];
    1428 Documented [Statement]
        "The instance that answered is not in a state to serve the request."
        ["Try again."]
        not_raised 16 false "An instance that is not ready does not let peers in yet: 1418.";
    1429 Documented [Statement]
        "The witness must be another instance than both partners."
        ["Look at the address and port."];
    1430 Documented [Statement]
        "Mirroring was removed in an unstable state, and recovery may fail."
        ["Check the data."]
        not_raised 16 false "A database whose log is behind its data cannot come about here.";
    1431 Documented [Statement]
        "The command needs the partner or the witness, and neither is connected."
        ["Bring one of them up.", "Look at 1479, 1474 and 9642 in the log: links, certificates, logins."];
    1432 Documented [Principal, Mirror]
        "A damaged page is being fetched from the partner."
        ["Wait for 1461 or 1481.", "Look at the disk that damaged it: 824, or 823 with error 23, names the page."];
    1433 Documented [Statement]
        "One of the three was lost while the witness was set, so they may have recorded different things."
        ["Look at mirroring_witness_name on both partners and at sys.database_mirroring_witnesses on the witness.", "Run the statement again."];
    1434 Documented [Principal, Mirror, Witness]
        "A peer sent a message that makes no sense in the session. The connection ends."
        ["Compare the versions.", "Look who the peer is: a foreign program cannot log in."];
    1435 Documented [Principal, Mirror, Witness]
        "An error came as an answer where none was expected."
        ["Look up the quoted number."]
        not_raised 16 true "Answers are typed here; what does not fit is reported with 1434.";
    1436 Documented [Statement]
        "The Service Broker ids of the copies differ."
        ["Restore the copy again."]
        not_raised 16 false "Service Broker is not simulated.";
    1437 Documented [Principal, Mirror, Witness]
        "A message could not be handed to the transport."
        ["Look at the size of what was sent: the message names it."];
    1438 Documented [Statement]
        "The instance rejected a change of the session for a moment."
        ["Look at its log and try again."]
        not_raised 16 true "A busy session answers 1404.";
    1439 Documented [Statement]
        "The session has no witness."
        ["Look at mirroring_witness_name in sys.database_mirroring."];
    1440 Documented [Principal]
        "This instance is the principal of the session from now on."
        [];
    1441 Documented [Mirror]
        "This instance is the mirror of the session from now on."
        [];
    1442 Documented [Instance]
        "Mirroring is not active for the database."
        []
        not_raised 10 true "A session is active from its start to its end; whatever ends it says 1443.";
    1443 Documented [Principal, Mirror]
        "Mirroring was removed from the database."
        ["If nobody meant it, look who ran SET PARTNER OFF on either partner."];
    1444 Documented [Mirror]
        "The instance started and leaves the database as it is, because it is a mirror."
        [];
    1445 Documented [Principal]
        "The instance started as principal and sees neither partner nor witness, so the database stays closed."
        ["Look at the links: is the endpoint STARTED, do the partners answer?", "Look what changed: endpoint configuration, permissions of account or certificate, addresses.",
         "It opens by itself when one of the two is back; clients see 955 until then."];
    1446 Documented [Statement]
        "The instance is the witness already."
        [];
    1447 Documented [Statement]
        "The command needs both partners, connected."
        ["Start the partner and wait until the state is not DISCONNECTED.", "Look for 1479 and 1474 in the log."];
    1448 Documented [Statement]
        "The other instance has no database of this name."
        ["Restore it there WITH NORECOVERY, under the same name.", "Look whether the port leads to the instance you mean; several may live on one system."];
    1449 Documented [Statement]
        "The text is no server network address."
        ["Write TCP://system:port: the scheme, the system's name without an instance name, and the port of its mirroring endpoint.",
         "An IPv6 address stands in brackets."];
    1450 Documented [Statement]
        "A worker thread could not be created."
        ["Look at the resources."]
        not_raised 16 false "There are no worker threads here.";
    1451 Documented [Statement]
        "The session is missing in the system tables."
        ["Remove mirroring and set it up again."]
        not_raised 16 false "A session and its record are one thing here.";
    1452 Documented [Statement]
        "The partner is this instance itself."
        ["Look at system and port of the address; two instances of one system differ by the port alone."];
    1453 Documented [Principal]
        "The other partner ran into an error, and the session is suspended."
        ["Look at the log of the mirror: 1454 and the entry before it.",
         "For a page that cannot be read (824) the session resumes by itself; if it does not, RESUME after the cause is mended."];
    1454 Documented [Principal, Mirror]
        "This partner ran into an error, and the session will be suspended."
        ["Look at the entry before it: the page that cannot be read (824), or the write of the data file that failed (823).",
         "After 824: with 1461 the session resumes by itself; with 1481 it stays suspended until RESUME.",
         "After 823: mend the disk, then RESUME on the principal; the log that waits is redone then."];
    1455 Documented [Statement]
        "Service can be forced only on a mirror that has lost its principal, and only if the witness, where one is set, has lost it, too; and not while pages of its copy are damaged."
        ["Run it on the mirror.", "After 824: bring the principal up, so that the pages can be repaired; or remove mirroring and restore the copy with recovery.", "If the principal is up and connected, use SET PARTNER FAILOVER there."];
    1456 Documented [Statement]
        "The command could not be sent to the other instance; nothing was changed."
        ["Look at the link: 1474 and 1479 in the log."]
        not_raised 16 true "1418, 1426, 1431 and 1447 tell the cases apart.";
    1457 Documented [Mirror]
        "Synchronizing was interrupted while the mirror is not consistent."
        ["Bring the principal up."]
        not_raised 23 true "A mirror is consistent at every instant here.";
    1458 Documented [Principal]
        "The principal could not send a page, and the session is suspended."
        ["Look at the disk."]
        not_raised 17 true "A page that cannot be read is answered with a failure, and the mirror stays suspended.";
    1459 Documented [Instance]
        "The metadata of the session cannot be read or written."
        ["Remove mirroring and set it up again."]
        not_raised 24 true "They lie in master; a master that cannot be written ends the instance: 823.";
    1460 Documented [Statement]
        "The other copy is mirrored with somebody else."
        ["Look at mirroring_partner_name there.", "SET PARTNER OFF there if that session is an old one."];
    1461 Documented [Principal, Mirror]
        "A damaged page was repaired from the partner."
        ["Look at the disk that damaged it.", "msdb.dbo.suspect_pages and sys.dm_db_mirroring_auto_page_repair list such pages."];
    1462 Documented [Statement]
        "RESUME was said, but redo failed on the mirror for good: its data file is damaged in a page that is never repaired."
        ["Look for 3313 and 823 in the mirror's log.", "Remove mirroring, restore the mirror, set it up again."];
    1463 Documented [Statement]
        "This edition does not have database mirroring."
        ["Use another edition: Express can only be a witness."];
    1464 Documented [Statement]
        "The other copy is recovered; a mirror must be restoring."
        ["Restore it again WITH NORECOVERY."];
    1465 Documented [Statement]
        "Mirroring needs the full recovery model."
        ["ALTER DATABASE SET RECOVERY FULL, then take a full backup and begin anew."];
    1466 Documented [Statement]
        "A read-only database cannot be mirrored."
        ["ALTER DATABASE SET READ_WRITE."]
        not_raised 16 false "Databases have no such option here.";
    1467 Documented [Statement]
        "A database in emergency mode or suspect cannot be mirrored."
        ["Look at the log for 926 and why.", "Restore the database first."];
    1468 Documented [Statement]
        "The operation is not allowed while the database is mirrored."
        ["SET PARTNER OFF first."];
    1469 Documented [Statement]
        "A database that closes by itself cannot be mirrored."
        ["ALTER DATABASE SET AUTO_CLOSE OFF."]
        not_raised 16 false "Databases have no such option here.";
    1470 Documented [Statement]
        "The command was run on the mirror, and may be run on the principal alone."
        ["Run it on the instance whose mirroring_role_desc is PRINCIPAL."];
    1471 Documented [Principal, Mirror]
        "A mirroring connection ended for lack of memory."
        ["Look at the memory."]
        not_raised 16 false "Memory is not simulated.";
    1472 Documented [Principal, Mirror]
        "A mirroring connection ended because sending failed."
        ["Look at the network."]
        not_raised 16 false "1474 and 1479 are raised.";
    1473 Documented [Statement]
        "This edition cannot change the safety of the session."
        ["Use SAFETY FULL: Standard has no high-performance mode."];
    1474 Documented [Principal, Mirror, Witness]
        "A connection of the session could not be made or broke. Number, text and address are quoted."
        ["Look up the quoted number: 9783 name, 9754 network, 28028 refused by the peer.", "It is written once per reason and address, not at every new attempt."];
    1475 Documented [Statement]
        "The database has been in the bulk-logged recovery model since its last log backup."
        ["Back up the log here and restore that backup on the mirror, WITH NORECOVERY."];
    1476 Documented [Statement]
        "The partner timeout is larger than it may be."
        ["Give a number of seconds up to 32767."];
    1477 Documented [Statement]
        "Manual failover needs SAFETY FULL."
        ["SET PARTNER SAFETY FULL and wait until the state is SYNCHRONIZED."];
    1478 Documented [Statement]
        "The principal's log was backed up beyond what the mirror has, so the chain of log backups could not go on from the mirror."
        ["Restore the log backups that were taken since, WITH NORECOVERY."];
    1479 Documented [Principal, Mirror, Witness]
        "Nothing came from the other instance for as long as the partner timeout says. It may be down, cut off, paused or too busy."
        ["Look whether the other instance is up.", "Look at the network and at firewalls that drop: silence is what they cause.",
         "Look at mirroring_connection_timeout: short ones see a busy instance as lost."];
    1480 Documented [Principal, Mirror]
        "The two partners change roles; the message says from what to what, and why."
        ["Automatic: look why the former principal was lost, in its log and for 1479 here."];
    1481 Documented [Principal, Mirror]
        "A damaged page could not be repaired from the partner."
        ["Look at the log of the partner: its copy of the page is damaged as well (824), or it could not send it.",
         "On the mirror: RESUME tries again.", "Otherwise restore the database from backups and set mirroring up again."];
    1487 Documented [Mirror]
        "Redo starts with several threads."
        []
        not_raised 10 false "Redo is in the order of the log here.";
    1488 Documented [Statement]
        "A database in single-user mode cannot be mirrored."
        ["ALTER DATABASE SET MULTI_USER."]
        not_raised 16 false "Databases have no such option here.";
    1499 Documented [Instance]
        "An error of mirroring without a message of its own."
        ["Look at the quoted values."]
        not_raised 16 true "Whatever can happen here has a message of its own.";
    32040 Documented [Principal]
        "The oldest log that the mirror does not have yet is older than the threshold set for it, in minutes."
        ["Look at unsent_log and send_rate in sp_dbmmonitorresults.", "Is the session suspended or the link down?"];
    32042 Documented [Principal]
        "More log waits to be sent than the threshold set for it, in KB."
        ["Look at unsent_log and send_rate in sp_dbmmonitorresults.", "Is the session suspended or the link down or slow?"];
    32043 Documented [Mirror]
        "More log waits to be redone than the threshold set for it, in KB: a failover would take as long."
        ["Look at unrestored_log and recovery_rate in sp_dbmmonitorresults.", "Look at the mirror's disk."];
    32044 Documented [Principal]
        "Commits wait for the mirror longer than the threshold set for it, on average since the last update, in ms."
        ["Look at average_delay in sp_dbmmonitorresults.", "Look at the network between the partners and at the mirror's disk."];
    41951 Ours [Principal]
        "Both partners hold log of one principal for the same place, and it is not the same. A disk lost log and other log took its place."
        ["Find out which copy is to stay, from its data.", "SET PARTNER OFF, restore the other copy from it, and set mirroring up again."];
    41952 Ours [Statement, Mirror]
        "The partners run different versions of the product. A session wants one version on both, and on the witness."
        ["Compare SERVERPROPERTY('ProductVersion') on both instances.", "Upgrade the older one first."];
}
