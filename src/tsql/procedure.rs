//! The system procedures there are, their parameters, and calls with arguments put in their places.
//!
//! Source: documented, the pages of *sp_readerrorlog*, *sp_addrolemember* and of the *sp_dbmmonitor…* procedures; *xp_readerrorlog* and the
//! names of the monitor's parameters are third-party.

use super::ast::Name;
use crate::error::{Span, SqlError, msg};

/// A system procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Procedure {
    /// `sp_readerrorlog` and `xp_readerrorlog`.
    ReadErrorLog,
    Monitor(MonitorProcedure),
    /// `sp_addrolemember` and, without `add`, `sp_droprolemember`.
    RoleMember {
        add: bool,
    },
}

/// A procedure of the database mirroring monitor, `sp_dbmmonitor…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitorProcedure {
    Update,
    Results,
    Add,
    Change,
    Drop,
    Help,
    AlertChange,
    AlertDrop,
    AlertHelp,
}

/// A call. An argument left out is `Argument::Absent`; there is one for each parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    pub procedure: Procedure,
    /// As it was written, without the schema.
    pub name: Name,
    /// The database in whose name it is called, if one is written.
    pub database: Option<Name>,
    pub arguments: Vec<Argument>,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// Not given, or DEFAULT.
    Absent,
    Null,
    Int(i64),
    Text(String),
}

/// An argument as it was written: `@name = value` or a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub name: Option<String>,
    pub value: Argument,
    pub span: Span,
}

/// One parameter of a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameter {
    name: &'static str,
    kind: Kind,
    required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
}

const fn int(name: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Int,
        required: false,
    }
}

const fn text(name: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Text,
        required: false,
    }
}

const fn required(parameter: Parameter) -> Parameter {
    Parameter {
        required: true,
        ..parameter
    }
}

const DATABASE: Parameter = text("@database_name");
const ERROR_LOG: &[Parameter] = &[
    int("@p1"),
    int("@p2"),
    text("@p3"),
    text("@p4"),
    text("@p5"),
    text("@p6"),
    text("@p7"),
];
const ROLE_MEMBER: &[Parameter] = &[required(text("@rolename")), required(text("@membername"))];
const RESULTS: &[Parameter] = &[required(DATABASE), int("@mode"), int("@update_table")];
const ADD: &[Parameter] = &[int("@update_period")];
const CHANGE: &[Parameter] = &[required(int("@parameter_id")), required(int("@value"))];
const ALERT_CHANGE: &[Parameter] = &[
    required(DATABASE),
    required(int("@alert_id")),
    required(int("@threshold")),
    int("@enabled"),
];
const ALERT: &[Parameter] = &[required(DATABASE), int("@alert_id")];

impl Procedure {
    /// The procedure of this name, in any case.
    pub fn named(name: &str) -> Option<Procedure> {
        Some(Procedure::Monitor(match name.to_ascii_lowercase().as_str() {
            "sp_readerrorlog" | "xp_readerrorlog" => return Some(Procedure::ReadErrorLog),
            "sp_addrolemember" => return Some(Procedure::RoleMember { add: true }),
            "sp_droprolemember" => return Some(Procedure::RoleMember { add: false }),
            "sp_dbmmonitorupdate" => MonitorProcedure::Update,
            "sp_dbmmonitorresults" => MonitorProcedure::Results,
            "sp_dbmmonitoraddmonitoring" => MonitorProcedure::Add,
            "sp_dbmmonitorchangemonitoring" => MonitorProcedure::Change,
            "sp_dbmmonitordropmonitoring" => MonitorProcedure::Drop,
            "sp_dbmmonitorhelpmonitoring" => MonitorProcedure::Help,
            "sp_dbmmonitorchangealert" => MonitorProcedure::AlertChange,
            "sp_dbmmonitordropalert" => MonitorProcedure::AlertDrop,
            "sp_dbmmonitorhelpalert" => MonitorProcedure::AlertHelp,
            _ => return None,
        }))
    }

    const fn parameters(self) -> &'static [Parameter] {
        let procedure = match self {
            Procedure::ReadErrorLog => return ERROR_LOG,
            Procedure::RoleMember { .. } => return ROLE_MEMBER,
            Procedure::Monitor(procedure) => procedure,
        };
        match procedure {
            MonitorProcedure::Update => &[DATABASE],
            MonitorProcedure::Results => RESULTS,
            MonitorProcedure::Add => ADD,
            MonitorProcedure::Change => CHANGE,
            MonitorProcedure::Drop | MonitorProcedure::Help => &[],
            MonitorProcedure::AlertChange => ALERT_CHANGE,
            MonitorProcedure::AlertDrop | MonitorProcedure::AlertHelp => ALERT,
        }
    }

    /// How many arguments it takes at most.
    pub fn arguments_max(self) -> usize {
        self.parameters().len()
    }

    /// The arguments in the order of the parameters.
    ///
    /// Errors: 201 one is missing, 8143 one is given twice, 8144 too many, 8145 no parameter of that name, 8114 a value of
    /// the wrong type, 119 a bare value behind a named one.
    pub fn place(self, called: &Name, written: Vec<Written>) -> Result<Vec<Argument>, SqlError> {
        let parameters = self.parameters();
        let mut arguments = vec![Argument::Absent; parameters.len()];
        let mut named = false;
        for (position, argument) in written.into_iter().enumerate() {
            named |= argument.name.is_some();
            let index = match &argument.name {
                Some(name) => parameters
                    .iter()
                    .position(|p| p.name.eq_ignore_ascii_case(name))
                    .ok_or_else(|| msg::PARAMETER_UNKNOWN.with(&[name, called]).at(argument.span))?,
                None if named => {
                    return Err(msg::PARAMETER_NOT_NAMED
                        .with(&[&(position + 1)])
                        .at(argument.span));
                }
                None if position >= parameters.len() => {
                    return Err(msg::TOO_MANY_ARGUMENTS.with(&[called]).at(argument.span));
                }
                None => position,
            };
            if argument.name.is_some() && arguments[index] != Argument::Absent {
                return Err(msg::ARGUMENT_TWICE
                    .with(&[&parameters[index].name])
                    .at(argument.span));
            }
            arguments[index] = parameters[index]
                .take(argument.value)
                .map_err(|e| e.at(argument.span))?;
        }
        for (parameter, argument) in parameters.iter().zip(&arguments) {
            if parameter.required && matches!(argument, Argument::Absent | Argument::Null) {
                return Err(msg::ARGUMENT_MISSING
                    .with(&[called, &parameter.name])
                    .at(called.span));
            }
        }
        Ok(arguments)
    }
}

impl Parameter {
    fn take(self, value: Argument) -> Result<Argument, SqlError> {
        match (self.kind, value) {
            (Kind::Int, Argument::Text(text)) => match text.trim().parse() {
                Ok(n) => Ok(Argument::Int(n)),
                Err(_) => Err(msg::ARGUMENT_TYPE.with(&[&text, &self.name, &"int"])),
            },
            (Kind::Text, Argument::Int(n)) => Ok(Argument::Text(n.to_string())),
            (_, value) => Ok(value),
        }
    }
}

impl Argument {
    /// The number, if one was given.
    pub const fn int(&self) -> Option<i64> {
        match self {
            Argument::Int(n) => Some(*n),
            Argument::Absent | Argument::Null | Argument::Text(_) => None,
        }
    }

    /// The text, if one was given.
    pub fn text(&self) -> Option<&str> {
        match self {
            Argument::Text(text) => Some(text),
            Argument::Absent | Argument::Null | Argument::Int(_) => None,
        }
    }
}
