//! Connection strings as applications write them: `Server=ALPHA;Failover Partner=BETA;Database=Sales;Connect Timeout=15`.
//!
//! Keywords and their synonyms are those of the .NET provider and of SQL Server Native Client, in any case; the last of
//! two with one meaning counts. A keyword nobody knows is an error, as with both providers; those that say nothing about
//! finding a server are accepted and mean nothing here. Only TCP leads to a server. Source: documented, *Connect Clients
//! to a Database Mirroring Session* and the providers' pages on connection string keywords.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::client::LOGIN_TIMEOUT;

/// Which driver reads the string. They differ in when they learn the failover partner's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Provider {
    /// The .NET provider: takes the partner's name from the first successful connection and never again.
    SqlClient,
    /// SQL Server Native Client: takes it from every connection that reports another.
    #[default]
    NativeClient,
}

/// What a connection string says. Server names are as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionText {
    /// The initial partner: `SYSTEM`, `SYSTEM\INSTANCE`, `SYSTEM,port`.
    pub server: String,
    pub failover_partner: Option<String>,
    pub database: Option<String>,
    pub login: Option<String>,
    pub application: Option<String>,
    pub login_timeout: Duration,
}

/// Why a text is not a connection string that leads to a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionTextError {
    #[error("`{0}` has no `=`: write keyword=value, separated by semicolons")]
    NoValue(String),
    #[error("`{0}` is not a keyword of a connection string")]
    UnknownKeyword(String),
    #[error("the quotation mark that begins {0} is never closed")]
    OpenQuote(String),
    #[error("after the closing quotation mark of {0} a semicolon is expected")]
    AfterQuote(String),
    #[error("it names no server: write Server=…")]
    NoServer,
    #[error("Failover Partner needs the database it is for: write Database=… as well")]
    PartnerWithoutDatabase,
    #[error("`{0}` is not a login timeout: a whole number of seconds from 1 to 65535")]
    Timeout(String),
    #[error("network `{0}` leads nowhere here: only TCP does (dbmssocn)")]
    Network(String),
}

/// What a keyword means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Server,
    FailoverPartner,
    Database,
    Login,
    Application,
    Timeout,
    Network,
    /// Known and without meaning here.
    Other,
}

/// The keywords, in lower case and without spaces and underscores.
const KEYWORDS: &[(&str, Keyword)] = &[
    ("server", Keyword::Server),
    ("datasource", Keyword::Server),
    ("address", Keyword::Server),
    ("addr", Keyword::Server),
    ("networkaddress", Keyword::Server),
    ("failoverpartner", Keyword::FailoverPartner),
    ("database", Keyword::Database),
    ("initialcatalog", Keyword::Database),
    ("userid", Keyword::Login),
    ("user", Keyword::Login),
    ("uid", Keyword::Login),
    ("applicationname", Keyword::Application),
    ("app", Keyword::Application),
    ("connecttimeout", Keyword::Timeout),
    ("connectiontimeout", Keyword::Timeout),
    ("timeout", Keyword::Timeout),
    ("network", Keyword::Network),
    ("networklibrary", Keyword::Network),
    ("net", Keyword::Network),
    ("password", Keyword::Other),
    ("pwd", Keyword::Other),
    ("integratedsecurity", Keyword::Other),
    ("trustedconnection", Keyword::Other),
    ("driver", Keyword::Other),
    ("provider", Keyword::Other),
    ("pooling", Keyword::Other),
    ("encrypt", Keyword::Other),
    ("trustservercertificate", Keyword::Other),
    ("multipleactiveresultsets", Keyword::Other),
    ("persistsecurityinfo", Keyword::Other),
    ("packetsize", Keyword::Other),
    ("workstationid", Keyword::Other),
    ("language", Keyword::Other),
];

impl Provider {
    pub const ALL: [(&'static str, Provider); 2] = [
        ("SqlClient", Provider::SqlClient),
        ("NativeClient", Provider::NativeClient),
    ];
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Provider::SqlClient => "SqlClient",
            Provider::NativeClient => "NativeClient",
        })
    }
}

impl FromStr for ConnectionText {
    type Err = ConnectionTextError;

    fn from_str(text: &str) -> Result<Self, ConnectionTextError> {
        let mut server = None;
        let mut said = ConnectionText {
            server: String::new(),
            failover_partner: None,
            database: None,
            login: None,
            application: None,
            login_timeout: LOGIN_TIMEOUT,
        };
        for (keyword, value) in pairs(text)? {
            let filled = Some(value.clone()).filter(|v| !v.is_empty());
            match meaning(&keyword)? {
                Keyword::Server => server = Some(value),
                Keyword::FailoverPartner => said.failover_partner = filled,
                Keyword::Database => said.database = filled,
                Keyword::Login => said.login = filled,
                Keyword::Application => said.application = filled,
                Keyword::Timeout => said.login_timeout = seconds(&value)?,
                Keyword::Network => only_tcp(&value)?,
                Keyword::Other => {}
            }
        }
        said.server = match server.as_deref().map(without_protocol).transpose()? {
            Some(server) if !server.is_empty() => server.to_owned(),
            _ => return Err(ConnectionTextError::NoServer),
        };
        if let Some(partner) = &said.failover_partner {
            said.failover_partner = Some(without_protocol(partner)?.to_owned());
            if said.database.is_none() {
                return Err(ConnectionTextError::PartnerWithoutDatabase);
            }
        }
        Ok(said)
    }
}

/// Keyword and value of each part.
fn pairs(text: &str) -> Result<Vec<(String, String)>, ConnectionTextError> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start_matches(is_between);
    while !rest.is_empty() {
        let part = rest.split(';').next().unwrap_or(rest);
        let Some((keyword, after)) = rest.split_once('=').filter(|_| part.contains('=')) else {
            return Err(ConnectionTextError::NoValue(part.trim().to_owned()));
        };
        let (value, left) = value_of(after.trim_start())?;
        pairs.push((keyword.trim().to_owned(), value));
        rest = left.trim_start_matches(is_between);
    }
    Ok(pairs)
}

fn is_between(c: char) -> bool {
    c == ';' || c.is_whitespace()
}

/// The value `text` begins with, and what follows it. One in quotation marks may contain semicolons, and its own mark
/// twice.
fn value_of(text: &str) -> Result<(String, &str), ConnectionTextError> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let end = text.find(';').unwrap_or(text.len());
        return Ok((text[..end].trim_end().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut rest = &text[1..];
    loop {
        let Some(end) = rest.find(quote) else {
            return Err(ConnectionTextError::OpenQuote(text.to_owned()));
        };
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix(quote) {
            Some(more) => {
                value.push(quote);
                rest = more;
            }
            None => break,
        }
    }
    let after = rest.trim_start();
    match after.is_empty() || after.starts_with(';') {
        true => Ok((value, after)),
        false => Err(ConnectionTextError::AfterQuote(text.to_owned())),
    }
}

fn meaning(keyword: &str) -> Result<Keyword, ConnectionTextError> {
    let plain: String = keyword
        .chars()
        .filter(|c| !matches!(c, ' ' | '_'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let known = KEYWORDS.iter().find(|(name, _)| *name == plain);
    known
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| ConnectionTextError::UnknownKeyword(keyword.to_owned()))
}

fn seconds(value: &str) -> Result<Duration, ConnectionTextError> {
    match value.parse::<u16>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(u64::from(seconds))),
        _ => Err(ConnectionTextError::Timeout(value.to_owned())),
    }
}

fn only_tcp(network: &str) -> Result<(), ConnectionTextError> {
    match network.to_ascii_lowercase().as_str() {
        "dbmssocn" | "tcp" => Ok(()),
        _ => Err(ConnectionTextError::Network(network.to_owned())),
    }
}

/// `tcp:SYSTEM` is SYSTEM; `np:` and `lpc:` are networks that do not exist here.
fn without_protocol(server: &str) -> Result<&str, ConnectionTextError> {
    match server.split_once(':') {
        Some((protocol, rest)) => only_tcp(protocol.trim()).map(|()| rest.trim()),
        None => Ok(server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ConnectionText {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_manuals_example_reads() {
        let said = parsed(
            r"Server=250.65.43.21,4734; Failover_Partner=PARTNERHOST4\INST,4734; Database=AdventureWorks; Network=dbmssocn",
        );
        assert_eq!(said.server, "250.65.43.21,4734");
        assert_eq!(said.failover_partner.as_deref(), Some(r"PARTNERHOST4\INST,4734"));
        assert_eq!(said.database.as_deref(), Some("AdventureWorks"));
        assert_eq!(said.login_timeout, LOGIN_TIMEOUT);
    }

    #[test]
    fn synonyms_case_and_quotation_marks() {
        let said = parsed(
            r#"DATA SOURCE=tcp:alpha;initial catalog='a;''b''';Connection Timeout=7;App="x ""y""";uid=sa;pwd=;;"#,
        );
        assert_eq!(said.server, "alpha");
        assert_eq!(said.database.as_deref(), Some("a;'b'"));
        assert_eq!(said.login_timeout, Duration::from_secs(7));
        assert_eq!(said.application.as_deref(), Some("x \"y\""));
        assert_eq!(said.login.as_deref(), Some("sa"));
        assert_eq!(parsed("Server=a;Addr=b").server, "b");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let wrong = [
            "",
            "Server",
            "Server=;Database=Sales",
            "Server=a;Failver Partner=b",
            "Server=a;Failover Partner=b",
            "Server=a;Connect Timeout=0",
            "Server=a;Connect Timeout=soon",
            "Server=a;Network=dbnmpntw",
            "Server=np:a",
            "Server='a",
            "Server='a'b;Database=c",
        ];
        let told: Vec<String> = wrong
            .iter()
            .map(|text| match text.parse::<ConnectionText>() {
                Ok(said) => format!("{text:30} {said:?}"),
                Err(error) => format!("{text:30} {error}"),
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
