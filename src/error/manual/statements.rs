//! Statements and queries: what any batch can run into.

use super::manual;

manual! {
    102 Documented [Statement]
        "The text at this place is not what the statement's grammar allows there."
        ["Compare the statement with its syntax from the place the message points at backwards.",
         "Make sure that batches are separated by GO on a line of its own."];
    103 Documented [Statement]
        "A name or literal is longer than its kind may be."
        ["Shorten it; names have at most 128 characters."];
    105 Documented [Statement]
        "A string or quoted name begins and the batch ends before it does."
        ["Find the opening quote the message shows and close it; a quote inside a string is doubled."];
    113 Documented [Statement]
        "A comment begins with /* and the batch ends before it does. Comments nest."
        ["Close every /* with a */."];
    119 Documented [Statement]
        "In a call of a procedure, a bare value stands behind one that was given by its name."
        ["Name all arguments from the first named one on."];
    156 Documented [Statement]
        "A reserved word stands where the grammar allows another word or none."
        ["Look at the clause before the keyword: it is often incomplete.",
         "A name that is a keyword is written in brackets."];
    191 Ours [Statement]
        "An expression or query is nested deeper than the parser follows."
        ["Split the expression or the query."];
    201 Documented [Statement]
        "A call of a procedure leaves out a value that it needs."
        ["Give it: the message names the parameter."];
    207 Documented [Statement]
        "The table or view has no column of this name."
        ["Compare the name with the view's columns; SELECT * shows them."];
    208 Documented [Statement]
        "There is no table or view of this name in the current database."
        ["Look at the current database: a batch begins in the one named at connect.",
         "Compare the name with the list of views; system views begin with sys."];
    209 Documented [Statement]
        "Several tables of the query have a column of this name."
        ["Put the table's name or alias before the column."];
    213 Documented [Statement]
        "The statement gives more or fewer values than the table has columns."
        ["Count them; tables here have a key and a value."];
    226 Documented [Statement]
        "The statement may not be part of a transaction that has other statements."
        ["COMMIT or ROLLBACK first, then run the statement alone."]
        not_raised 16 false "Both numbers are documented for this situation and the manual does not choose; 574 is raised.";
    229 Documented [Statement]
        "The caller may not execute the procedure."
        ["Reading the error log is for members of sysadmin; without, sys.fn_trace_gettable shows it to who holds VIEW SERVER STATE."];
    241 Documented [Statement]
        "The text is no date or time in a form that is understood."
        ["Write dates as yyyymmdd or yyyy-mm-ddThh:mm:ss."];
    245 Documented [Statement]
        "The value does not have the form of the type it is compared with or stored as."
        ["Look for a comparison of a number with a text.", "Use CONVERT or CAST where the change is meant."];
    515 Documented [Statement]
        "A column that needs a value was given NULL."
        ["Give the column a value."];
    574 Derived [Statement]
        "The statement may not run inside a user transaction; endpoint and mirroring statements are among those."
        ["COMMIT or ROLLBACK first, then run the statement alone."];
    2627 Documented [Statement]
        "A row with this key is in the table already."
        ["Choose another key, or update the row."];
    2714 Documented [Statement]
        "The database has an object of this name."
        ["Choose another name, or use the object there is."];
    3902 Documented [Statement]
        "COMMIT without a transaction; after a failover the transaction was on the other instance."
        ["Look for an earlier error in the batch: it may have rolled the transaction back."];
    3903 Documented [Statement]
        "ROLLBACK without a transaction."
        ["Look for an earlier error in the batch: it may have rolled the transaction back."];
    3998 Derived [Statement]
        "The batch ended with an open transaction, which is rolled back: a transaction lives in one batch here."
        ["End the transaction with COMMIT or ROLLBACK in the batch that begins it."];
    4104 Documented [Statement]
        "The part before the dot names no table or alias of the query."
        ["Compare the prefix with the names and aliases in FROM."];
    8114 Documented [Statement]
        "A value in a call of a procedure is not of its parameter's type."
        ["Compare the arguments with the parameters, in their order."];
    8115 Documented [Statement]
        "The value does not fit into the type."
        ["Look at the size of the value and the range of the type."];
    8134 Documented [Statement]
        "A division by zero."
        ["Look for a divisor that can be 0; NULLIF makes it NULL."];
    8143 Documented [Statement]
        "A call of a procedure gives one parameter twice."
        ["Leave one of them out."];
    8144 Documented [Statement]
        "A call of a procedure has more arguments than the procedure has parameters."
        ["Compare the arguments with the parameters."];
    8145 Documented [Statement]
        "A call of a procedure names a parameter that it does not have."
        ["Compare the names; they begin with @."];
    8622 Ours [Statement]
        "The query is legal and could not be carried out; the message says why."
        ["Read the quoted reason.", "Simplify the query, or ask the views one by one."];
    8631 Ours [Statement]
        "A batch may have a limited number of bytes, and this one has more."
        ["Split it with GO."];
    21089 ThirdParty [Statement]
        "The procedures of the mirroring monitor are for members of sysadmin; its history, sp_dbmmonitorresults and dbm_monitor_data, is for members of dbm_monitor too."
        ["To look at the history, have a user in msdb and be added to dbm_monitor: USE msdb; CREATE USER x FOR LOGIN x; ALTER ROLE dbm_monitor ADD MEMBER x.",
         "Look at sys.dm_os_performance_counters with VIEW SERVER STATE."];
    22004 ThirdParty [Statement]
        "An error log was asked for that is not there: only the current one is kept, and there is no agent."
        ["Call sp_readerrorlog without arguments, or with 0, 1 and the texts to look for."];
    40517 Ours [Statement]
        "The statement or option exists in the product and not in this version of mirrorlab."
        ["Leave the option out if the test does not need it.",
         "See docs/decisions.md for the limits of this version."];
    40518 Ours [Statement]
        "A value in a call of a procedure lies outside what its parameter may be."
        ["The message says from where to where it goes."];
    40520 Ours [Statement]
        "The procedures of the mirroring monitor belong to msdb."
        ["USE msdb in the same batch, or write msdb.dbo before the name."];
    40521 Ours [Statement]
        "The job that refreshes the mirroring monitor was never added, or was dropped, or the instance was restarted since."
        ["Add it: EXEC msdb.dbo.sp_dbmmonitoraddmonitoring."];
}
