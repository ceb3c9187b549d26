//! `CREATE`, `ALTER` and the options of endpoints.
//!
//! Options are accepted in any order with optional commas between them, and once each (7816). Source: documented,
//! *CREATE ENDPOINT* and *ALTER ENDPOINT*; where the pages are silent or disagree, the choice is ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sqlparser::tokenizer::Token;

use super::{Parsed, Parser};
use crate::error::{SqlError, msg};
use crate::tsql::ast::*;

/// The ports an endpoint may listen on. Source: documented, *CREATE ENDPOINT*. Its own examples use 55555, which an
/// instance may allow: the parser refuses only what no instance allows.
pub const LISTENER_PORT_MIN: u16 = 1024;
pub const LISTENER_PORT_MAX: u16 = 32767;

/// What stands between the parentheses of `AS TCP`.
#[derive(Default)]
struct Tcp {
    port: Option<u16>,
    ip: Option<ListenerIp>,
}

/// What stands between the parentheses of `FOR payload`.
#[derive(Default)]
struct PayloadOptions {
    transport: TransportOptions,
    role: Option<EndpointRole>,
    message_forwarding: Option<bool>,
    message_forward_size: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PayloadKind {
    DatabaseMirroring,
    ServiceBroker,
    Tsql,
    Soap,
}

impl Parser<'_> {
    pub(super) fn create_endpoint(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let name = self.name("an endpoint name")?;
        let authorization = match self.keyword("AUTHORIZATION") {
            true => Some(self.name("a login")?),
            false => None,
        };
        let state = self.endpoint_state()?;
        self.refuse_affinity()?;
        self.expect_keywords(&["AS"])?;
        let transport_at = self.span();
        let protocol = self.protocol()?;
        let tcp_at = self.at;
        let tcp = match protocol {
            "TCP" => self.tcp()?,
            _ => self.skip_parentheses()?,
        };
        let tcp_span = self.span_since(tcp_at);
        self.expect_keywords(&["FOR"])?;
        let payload_at = self.at;
        let (kind, word) = self.payload_kind()?;
        if protocol != "TCP" {
            return Err(msg::PROTOCOL_PAYLOAD.with(&[&protocol, &word]).at(transport_at));
        }
        if kind == PayloadKind::Soap {
            let at = self.span_since(payload_at);
            return Err(msg::PROTOCOL_PAYLOAD.with(&[&"TCP", &word]).at(at));
        }
        let options = self.payload_options(kind)?;
        let listener_port = tcp
            .port
            .ok_or_else(|| msg::PARAMETER_REQUIRED.with(&[&"LISTENER_PORT"]).at(tcp_span))?;
        let payload = match kind {
            PayloadKind::DatabaseMirroring => {
                let at = self.span_since(payload_at);
                CreatePayload::DatabaseMirroring {
                    options: options.transport,
                    role: options
                        .role
                        .ok_or_else(|| msg::PARAMETER_REQUIRED.with(&[&"ROLE"]).at(at))?,
                }
            }
            PayloadKind::ServiceBroker => CreatePayload::ServiceBroker(options.broker()),
            PayloadKind::Tsql | PayloadKind::Soap => CreatePayload::Tsql,
        };
        Ok(Statement::CreateEndpoint(CreateEndpoint {
            name,
            authorization,
            state,
            listener_port,
            listener_ip: tcp.ip,
            payload,
        }))
    }

    pub(super) fn alter_endpoint(&mut self) -> Parsed<Statement> {
        let start = self.at;
        self.at += 2;
        let name = self.name("an endpoint name")?;
        if self.at_keyword("AUTHORIZATION") {
            let error = msg::CLAUSE_NOT_USABLE.with(&[&"AUTHORIZATION", &"ALTER ENDPOINT"]);
            return Err(error.at(self.span()));
        }
        let state = self.endpoint_state()?;
        self.refuse_affinity()?;
        let mut tcp = Tcp::default();
        if self.keyword("AS") {
            let at = self.span();
            if self.protocol()? != "TCP" {
                return Err(msg::CANNOT_CHANGE_PROTOCOL.error().at(at));
            }
            tcp = self.tcp()?;
        }
        let mut payload = None;
        if self.keyword("FOR") {
            let at = self.span();
            let (kind, _) = self.payload_kind()?;
            if kind == PayloadKind::Soap {
                return Err(msg::CANNOT_CHANGE_PROTOCOL.error().at(at));
            }
            payload = self.payload_options(kind)?.altered(kind);
        }
        if state.is_none() && tcp.port.is_none() && tcp.ip.is_none() && payload.is_none() {
            return Err(msg::ALTER_NOTHING.error().at(self.span_since(start)));
        }
        Ok(Statement::AlterEndpoint(AlterEndpoint {
            name,
            state,
            listener_port: tcp.port,
            listener_ip: tcp.ip,
            payload,
        }))
    }

    fn endpoint_state(&mut self) -> Parsed<Option<EndpointState>> {
        if !self.keyword("STATE") {
            return Ok(None);
        }
        self.expect(&Token::Eq)?;
        let states = [
            EndpointState::Started,
            EndpointState::Stopped,
            EndpointState::Disabled,
        ];
        let state = states[self.one_of(&["STARTED", "STOPPED", "DISABLED"])?];
        match self.at_keyword("STATE") {
            true => Err(self.twice("STATE")),
            false => Ok(Some(state)),
        }
    }

    fn refuse_affinity(&self) -> Parsed<()> {
        match self.at_keyword("AFFINITY") {
            true => Err(msg::AFFINITY_NOT_SUPPORTED.error().at(self.span())),
            false => Ok(()),
        }
    }

    fn protocol(&mut self) -> Parsed<&'static str> {
        let known = ["TCP", "HTTP", "NAMED_PIPES", "SHARED_MEMORY", "VIA"];
        match known.iter().find(|known| self.at_keyword(known)) {
            Some(protocol) => {
                self.next();
                Ok(protocol)
            }
            None => Err(self.expected("TCP")),
        }
    }

    fn payload_kind(&mut self) -> Parsed<(PayloadKind, &'static str)> {
        let kinds = [
            (PayloadKind::DatabaseMirroring, "DATABASE_MIRRORING"),
            (PayloadKind::ServiceBroker, "SERVICE_BROKER"),
            (PayloadKind::Tsql, "TSQL"),
            (PayloadKind::Soap, "SOAP"),
        ];
        match kinds.into_iter().find(|(_, word)| self.at_keyword(word)) {
            Some(kind) => {
                self.next();
                Ok(kind)
            }
            None => Err(self.expected("DATABASE_MIRRORING, SERVICE_BROKER or TSQL")),
        }
    }

    fn tcp(&mut self) -> Parsed<Tcp> {
        let mut tcp = Tcp::default();
        self.options("LISTENER_PORT or LISTENER_IP", |parser| {
            if parser.option("LISTENER_PORT", tcp.port.is_some())? {
                tcp.port = Some(parser.listener_port()?);
            } else if parser.option("LISTENER_IP", tcp.ip.is_some())? {
                tcp.ip = Some(parser.listener_ip()?);
            } else {
                return Ok(false);
            }
            Ok(true)
        })?;
        Ok(tcp)
    }

    fn payload_options(&mut self, kind: PayloadKind) -> Parsed<PayloadOptions> {
        let mut options = PayloadOptions::default();
        let expected = match kind {
            PayloadKind::DatabaseMirroring => "AUTHENTICATION, ENCRYPTION or ROLE",
            PayloadKind::ServiceBroker => {
                "AUTHENTICATION, ENCRYPTION, MESSAGE_FORWARDING or MESSAGE_FORWARD_SIZE"
            }
            PayloadKind::Tsql | PayloadKind::Soap => "')'",
        };
        self.options(expected, |parser| {
            let transport = !matches!(kind, PayloadKind::Tsql | PayloadKind::Soap);
            let broker = kind == PayloadKind::ServiceBroker;
            let mirroring = kind == PayloadKind::DatabaseMirroring;
            let own = &mut options.transport;
            if transport && parser.option("AUTHENTICATION", own.authentication.is_some())? {
                own.authentication = Some(parser.authentication()?);
            } else if transport && parser.option("ENCRYPTION", own.encryption.is_some())? {
                own.encryption = Some(parser.encryption()?);
            } else if mirroring && parser.option("ROLE", options.role.is_some())? {
                let roles = [EndpointRole::Witness, EndpointRole::Partner, EndpointRole::All];
                options.role = Some(roles[parser.one_of(&["WITNESS", "PARTNER", "ALL"])?]);
            } else if broker && parser.option("MESSAGE_FORWARDING", options.message_forwarding.is_some())? {
                options.message_forwarding = Some(parser.one_of(&["ENABLED", "DISABLED"])? == 0);
            } else if broker
                && parser.option("MESSAGE_FORWARD_SIZE", options.message_forward_size.is_some())?
            {
                let at = parser.span();
                let size = parser.integer("a size in megabytes")?;
                let size = u32::try_from(size).map_err(|_| {
                    let arguments: [&dyn std::fmt::Display; 4] =
                        [&size, &"MESSAGE_FORWARD_SIZE", &0, &u32::MAX];
                    msg::VALUE_OUT_OF_RANGE.with(&arguments).at(at)
                })?;
                options.message_forward_size = Some(size);
            } else if let Some((clause, word)) = parser.clause_of_other_type(kind) {
                return Err(msg::CLAUSE_OF_OTHER_TYPE
                    .with(&[&clause, &word])
                    .at(parser.span()));
            } else {
                return Ok(false);
            }
            Ok(true)
        })?;
        Ok(options)
    }

    /// A clause that comes next and belongs to another kind of endpoint, and what this kind is called.
    fn clause_of_other_type(&self, kind: PayloadKind) -> Option<(&'static str, &'static str)> {
        let forwarding = ["MESSAGE_FORWARDING", "MESSAGE_FORWARD_SIZE"];
        let transport = ["AUTHENTICATION", "ENCRYPTION"];
        let (foreign, word) = match kind {
            PayloadKind::DatabaseMirroring => (forwarding.to_vec(), "DATABASE_MIRRORING"),
            PayloadKind::ServiceBroker => (vec!["ROLE"], "SERVICE_BROKER"),
            PayloadKind::Tsql | PayloadKind::Soap => {
                ([&["ROLE"][..], &forwarding, &transport].concat(), "TSQL")
            }
        };
        let clause = foreign.into_iter().find(|clause| self.at_keyword(clause))?;
        Some((clause, word))
    }

    /// `( option [,] option … )`; `one` reads an option or says that there is none.
    fn options(&mut self, expected: &str, mut one: impl FnMut(&mut Self) -> Parsed<bool>) -> Parsed<()> {
        self.expect(&Token::LParen)?;
        let mut after_comma = false;
        loop {
            if !after_comma && self.eat(&Token::RParen) {
                return Ok(());
            }
            if !one(self)? {
                return Err(self.expected(expected));
            }
            after_comma = self.eat(&Token::Comma);
        }
    }

    /// Reads `name =` if it comes next. Errors: 7816 if the option was `given` already.
    fn option(&mut self, name: &str, given: bool) -> Parsed<bool> {
        if !self.at_keyword(name) {
            return Ok(false);
        }
        if given {
            return Err(self.twice(name));
        }
        self.next();
        self.expect(&Token::Eq)?;
        Ok(true)
    }

    fn twice(&self, name: &str) -> SqlError {
        msg::PARAMETER_TWICE.with(&[&name]).at(self.span())
    }

    fn listener_port(&mut self) -> Parsed<u16> {
        let start = self.at;
        let out_of_range = |value: &dyn std::fmt::Display| {
            msg::VALUE_OUT_OF_RANGE.with(&[value, &"LISTENER_PORT", &LISTENER_PORT_MIN, &LISTENER_PORT_MAX])
        };
        let port = self.integer("a port number");
        let at = self.span_since(start);
        match port {
            Ok(n) => match u16::try_from(n) {
                // Whether it goes beyond the documented range is the instance's question.
                Ok(port) if port >= LISTENER_PORT_MIN => Ok(port),
                _ => Err(out_of_range(&n).at(at)),
            },
            Err(error) if error.number == msg::ARITHMETIC_OVERFLOW.number => {
                let digits = self.source.get(at.start..at.end).unwrap_or_default();
                Err(out_of_range(&super::shorten(digits)).at(at))
            }
            Err(error) => Err(error),
        }
    }

    /// `ALL`, `(10.0.75.1)` or `('::1')`. A bare address is read from the text, since its tokens are odd numbers.
    fn listener_ip(&mut self) -> Parsed<ListenerIp> {
        if self.keyword("ALL") {
            return Ok(ListenerIp::All);
        }
        let expected = "ALL, or an address in parentheses: (10.0.75.1) or ('::1')";
        if !self.eat(&Token::LParen) {
            return Err(self.expected(expected));
        }
        let start = self.at;
        let quoted = match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::NationalStringLiteral(text)) => Some(text.clone()),
            Some(Token::Word(word)) if word.quote_style == Some('"') => Some(word.value.clone()),
            _ => None,
        };
        let address: Option<IpAddr> = match quoted {
            Some(text) => Some(self.quoted_ip(&text)?),
            None => {
                while self.peek().is_some_and(|token| *token != Token::RParen) && self.at < start + 8 {
                    self.next();
                }
                let span = self.span_since(start);
                let text = self.source.get(span.start..span.end).unwrap_or_default();
                text.parse::<Ipv4Addr>().map(IpAddr::V4).ok()
            }
        };
        match address {
            Some(address) => {
                self.expect(&Token::RParen)?;
                Ok(ListenerIp::Address(address))
            }
            None => {
                self.at = start;
                Err(self.expected(expected))
            }
        }
    }

    /// Only IPv6 addresses stand in quotation marks, in the form RFC 5952 makes canonical.
    fn quoted_ip(&mut self, text: &str) -> Parsed<IpAddr> {
        let at = self.span();
        let Ok(address) = text.parse::<Ipv6Addr>() else {
            return Err(msg::IPV6_UNRECOGNISED.with(&[&super::shorten(text)]).at(at));
        };
        if address.to_string() != text {
            return Err(msg::IPV6_NOT_CANONICAL.with(&[&text, &address]).at(at));
        }
        self.next();
        Ok(IpAddr::V6(address))
    }

    fn authentication(&mut self) -> Parsed<Authentication> {
        if self.keyword("CERTIFICATE") {
            let certificate = self.name("a certificate name")?;
            return Ok(match self.keyword("WINDOWS") {
                true => Authentication::CertificateThenWindows(certificate, self.windows_method()),
                false => Authentication::Certificate(certificate),
            });
        }
        if !self.keyword("WINDOWS") {
            return Err(self.expected("WINDOWS or CERTIFICATE"));
        }
        let method = self.windows_method();
        Ok(match self.keyword("CERTIFICATE") {
            true => Authentication::WindowsThenCertificate(method, self.name("a certificate name")?),
            false => Authentication::Windows(method),
        })
    }

    fn windows_method(&mut self) -> WindowsMethod {
        if self.keyword("NTLM") {
            WindowsMethod::Ntlm
        } else if self.keyword("KERBEROS") {
            WindowsMethod::Kerberos
        } else {
            self.keyword("NEGOTIATE");
            WindowsMethod::Negotiate
        }
    }

    fn encryption(&mut self) -> Parsed<Encryption> {
        match self.one_of(&["DISABLED", "SUPPORTED", "REQUIRED"])? {
            0 => Ok(Encryption::Disabled),
            1 => Ok(Encryption::Supported(self.algorithm()?)),
            _ => Ok(Encryption::Required(self.algorithm()?)),
        }
    }

    fn algorithm(&mut self) -> Parsed<Option<Algorithm>> {
        if !self.keyword("ALGORITHM") {
            return Ok(None);
        }
        Ok(Some(match self.one_of(&["AES", "RC4"])? {
            0 if self.keyword("RC4") => Algorithm::AesRc4,
            0 => Algorithm::Aes,
            _ if self.keyword("AES") => Algorithm::Rc4Aes,
            _ => Algorithm::Rc4,
        }))
    }

    /// The clause of a protocol that is refused anyway.
    fn skip_parentheses(&mut self) -> Parsed<Tcp> {
        self.expect(&Token::LParen)?;
        let mut depth = 1;
        while depth > 0 {
            match self.peek() {
                Some(Token::LParen) => depth += 1,
                Some(Token::RParen) => depth -= 1,
                Some(_) => {}
                None => return Err(self.expected("')'")),
            }
            self.next();
        }
        Ok(Tcp::default())
    }
}

impl PayloadOptions {
    fn broker(self) -> BrokerOptions {
        BrokerOptions {
            transport: self.transport,
            message_forwarding: self.message_forwarding,
            message_forward_size: self.message_forward_size,
        }
    }

    /// What an `ALTER` changes; `None` if the parentheses of the endpoint's own kind were empty.
    fn altered(self, kind: PayloadKind) -> Option<AlterPayload> {
        match kind {
            PayloadKind::DatabaseMirroring => {
                let nothing = self.transport == TransportOptions::default() && self.role.is_none();
                (!nothing).then_some(AlterPayload::DatabaseMirroring {
                    options: self.transport,
                    role: self.role,
                })
            }
            PayloadKind::ServiceBroker => Some(AlterPayload::ServiceBroker(self.broker())),
            PayloadKind::Tsql | PayloadKind::Soap => Some(AlterPayload::Tsql),
        }
    }
}
