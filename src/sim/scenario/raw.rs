//! The shape of a scenario file, as TOML has it: nothing is checked but keys and basic types.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub(super) type Text = Spanned<String>;
pub(super) type Number = Spanned<i64>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScenario {
    pub promise: Option<Text>,
    pub risk: Option<Text>,
    pub source: Option<Text>,
    pub seeds: Option<Text>,
    pub extends: Option<Text>,
    pub until: Option<Text>,
    pub settle: Option<Text>,
    pub database: Option<String>,
    #[serde(default)]
    pub domain: BTreeMap<Text, RawDomain>,
    #[serde(default)]
    pub system: Vec<RawSystem>,
    #[serde(default)]
    pub instance: Vec<RawInstance>,
    #[serde(default)]
    pub client: Vec<RawClient>,
    #[serde(default)]
    pub setup: Vec<Spanned<RawSetup>>,
    #[serde(default)]
    pub step: Vec<Spanned<RawStep>>,
    #[serde(default)]
    pub expect: Vec<Spanned<RawExpect>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDomain {
    pub dns: String,
    pub controller: Option<Text>,
    #[serde(default)]
    pub accounts: BTreeMap<Text, RawAccount>,
    #[serde(default)]
    pub trusts: Vec<Text>,
    #[serde(default)]
    pub spns: Vec<RawSpn>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccount {
    pub password: Text,
    #[serde(default)]
    pub disabled: bool,
    #[serde(default)]
    pub locked: bool,
    #[serde(default = "yes")]
    pub registers_spn: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSpn {
    pub spn: Text,
    pub account: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSystem {
    pub name: Text,
    pub domain: Option<Text>,
    pub dns_suffix: Option<String>,
    pub clock_offset: Option<Text>,
    pub clock_drift_ppm: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInstance {
    pub name: Text,
    pub system: Option<Text>,
    pub instance_name: Option<String>,
    pub client_port: Option<Number>,
    pub service_account: Option<Text>,
    pub version: Option<Number>,
    pub edition: Option<Text>,
    pub fips: Option<bool>,
    pub ports: Option<Text>,
    pub listener: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClient {
    pub name: Text,
    pub connection_string: Option<Text>,
    pub initial: Option<Text>,
    pub failover_partner: Option<Text>,
    pub provider: Option<Text>,
    pub login_timeout: Option<Text>,
    pub port: Option<Number>,
    pub database: Option<String>,
    pub login: Option<String>,
    pub rate: Option<Number>,
    pub mix: Option<Spanned<RawMix>>,
    pub verify: Option<bool>,
    pub from: Option<Text>,
    pub until: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMix {
    #[serde(default)]
    pub insert: u32,
    #[serde(default)]
    pub update: u32,
    #[serde(default)]
    pub transfer: u32,
    #[serde(default)]
    pub read: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSetup {
    pub on: Option<Text>,
    pub sql: Option<Text>,
    pub copy_file: Option<RawCopy>,
    pub wait: Option<Spanned<RawCondition>>,
    pub mirror: Option<Spanned<RawMirrored>>,
    pub within: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMirrored {
    pub databases: Number,
    pub first: Option<Number>,
    pub prefix: Option<Text>,
    pub principal: Text,
    pub mirror: Text,
    pub witness: Option<Text>,
    pub port: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCopy {
    pub path: String,
    pub from: Text,
    pub to: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCondition {
    pub on: Text,
    pub database: Option<String>,
    pub role: Option<Text>,
    pub state: Option<Text>,
    pub serving: Option<bool>,
    pub witness: Option<Text>,
    pub error_log: Option<Number>,
    pub log_text: Option<String>,
    pub alive: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    pub at: Option<Text>,
    pub after: Option<Text>,
    pub when: Option<Spanned<RawCondition>>,
    pub within: Option<Text>,
    pub on: Option<Text>,
    #[serde(rename = "as")]
    pub login: Option<Text>,
    pub sql: Option<Text>,
    pub expect_error: Option<Number>,
    pub may_fail: Option<Spanned<bool>>,
    pub fault: Option<Spanned<RawFault>>,
    pub start_client: Option<Text>,
    pub stop_client: Option<Text>,
    pub heal_all: Option<Spanned<bool>>,
    pub wait: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFault {
    pub kind: Text,
    pub system: Option<Text>,
    pub systems: Option<Spanned<Vec<Text>>>,
    pub instance: Option<Text>,
    pub direction: Option<Text>,
    pub port: Option<Number>,
    pub endpoint_of: Option<Text>,
    pub peer: Option<Text>,
    pub from: Option<Text>,
    pub to: Option<Spanned<Vec<Text>>>,
    pub latency: Option<Text>,
    pub by: Option<Text>,
    pub file: Option<Text>,
    pub offset: Option<Number>,
    pub scattered: Option<Spanned<bool>>,
    pub write: Option<Number>,
    pub kept: Option<Spanned<bool>>,
    pub how: Option<Text>,
    pub account: Option<Text>,
    pub name: Option<Text>,
    pub domain: Option<Text>,
    pub trusted: Option<Text>,
    pub count: Option<Number>,
    pub lasts: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpect {
    pub at: Option<Text>,
    pub on: Option<Text>,
    #[serde(rename = "as")]
    pub login: Option<Text>,
    pub database: Option<String>,
    pub query: Option<Text>,
    pub rows: Option<Vec<Vec<toml::Value>>>,
    pub error: Option<Number>,
    pub error_log: Option<Number>,
    pub log_text: Option<String>,
    pub not_logged: Option<Number>,
    pub role: Option<Text>,
    pub state: Option<Text>,
    pub serving: Option<bool>,
    pub witness: Option<Text>,
    pub alive: Option<bool>,
    pub client: Option<Text>,
    pub acknowledged: Option<Spanned<RawBounds>>,
    pub refused: Option<Spanned<RawBounds>>,
    pub in_doubt: Option<Spanned<RawBounds>>,
    pub outage: Option<Spanned<RawTimes>>,
    pub no_failover: Option<Spanned<bool>>,
    pub healed: Option<Spanned<bool>>,
    pub failover_to: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBounds {
    pub at_least: Option<u64>,
    pub at_most: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimes {
    pub at_least: Option<Text>,
    pub at_most: Option<Text>,
}
