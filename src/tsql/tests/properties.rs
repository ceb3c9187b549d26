//! What no text may do, and that statements read back as they are printed.

use proptest::prelude::*;

use super::*;

fn any_name() -> impl Strategy<Value = Name> {
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_]{0,12}",
        "[^\u{0}]{1,12}",
        Just("SELECT".to_owned())
    ]
    .prop_map(|text| Name {
        text,
        span: crate::error::Span {
            start: 0,
            end: 0,
            line: 1,
            column: 1,
        },
    })
}

fn any_transport() -> impl Strategy<Value = TransportOptions> {
    let method = || {
        prop::sample::select(vec![
            WindowsMethod::Ntlm,
            WindowsMethod::Kerberos,
            WindowsMethod::Negotiate,
        ])
    };
    let authentication = prop_oneof![
        method().prop_map(Authentication::Windows),
        any_name().prop_map(Authentication::Certificate),
        (method(), any_name()).prop_map(|(m, c)| Authentication::WindowsThenCertificate(m, c)),
        (any_name(), method()).prop_map(|(c, m)| Authentication::CertificateThenWindows(c, m)),
    ];
    let algorithm = || {
        prop::option::of(prop::sample::select(vec![
            Algorithm::Aes,
            Algorithm::Rc4,
            Algorithm::AesRc4,
            Algorithm::Rc4Aes,
        ]))
    };
    let encryption = prop_oneof![
        Just(Encryption::Disabled),
        algorithm().prop_map(Encryption::Supported),
        algorithm().prop_map(Encryption::Required),
    ];
    (prop::option::of(authentication), prop::option::of(encryption)).prop_map(
        |(authentication, encryption)| TransportOptions {
            authentication,
            encryption,
        },
    )
}

fn any_state() -> impl Strategy<Value = Option<EndpointState>> {
    prop::option::of(prop::sample::select(vec![
        EndpointState::Started,
        EndpointState::Stopped,
        EndpointState::Disabled,
    ]))
}

fn any_ip() -> impl Strategy<Value = Option<ListenerIp>> {
    prop::option::of(prop_oneof![
        Just(ListenerIp::All),
        any::<[u8; 4]>().prop_map(|ip| ListenerIp::Address(IpAddr::from(ip))),
        any::<[u8; 16]>().prop_map(|ip| ListenerIp::Address(IpAddr::from(ip))),
    ])
}

fn any_role() -> impl Strategy<Value = EndpointRole> {
    prop::sample::select(vec![
        EndpointRole::Witness,
        EndpointRole::Partner,
        EndpointRole::All,
    ])
}

fn any_create() -> impl Strategy<Value = CreateEndpoint> {
    let payload = prop_oneof![
        (any_transport(), any_role())
            .prop_map(|(options, role)| CreatePayload::DatabaseMirroring { options, role }),
        (any_transport(), any::<Option<bool>>(), any::<Option<u32>>()).prop_map(|(transport, on, size)| {
            CreatePayload::ServiceBroker(BrokerOptions {
                transport,
                message_forwarding: on,
                message_forward_size: size,
            })
        }),
        Just(CreatePayload::Tsql),
    ];
    let port = LISTENER_PORT_MIN..=LISTENER_PORT_MAX;
    (
        any_name(),
        prop::option::of(any_name()),
        any_state(),
        port,
        any_ip(),
        payload,
    )
        .prop_map(
            |(name, authorization, state, listener_port, listener_ip, payload)| CreateEndpoint {
                name,
                authorization,
                state,
                listener_port,
                listener_ip,
                payload,
            },
        )
}

fn any_alter() -> impl Strategy<Value = AlterEndpoint> {
    let port = prop::option::of(LISTENER_PORT_MIN..=LISTENER_PORT_MAX);
    let payload = prop::option::of((any_transport(), any_role()).prop_map(|(options, role)| {
        AlterPayload::DatabaseMirroring {
            options,
            role: Some(role),
        }
    }));
    (any_name(), any_state(), port, any_ip(), payload)
        .prop_map(
            |(name, state, listener_port, listener_ip, payload)| AlterEndpoint {
                name,
                state,
                listener_port,
                listener_ip,
                payload,
            },
        )
        .prop_filter("it changes something", |alter| {
            alter.state.is_some()
                || alter.listener_port.is_some()
                || alter.listener_ip.is_some()
                || alter.payload.is_some()
        })
}

fn any_permission() -> impl Strategy<Value = PermissionStatement> {
    let action = prop_oneof![
        any::<bool>().prop_map(|with_grant_option| PermissionAction::Grant { with_grant_option }),
        any::<bool>().prop_map(|cascade| PermissionAction::Deny { cascade }),
        any::<(bool, bool)>().prop_map(|(grant_option_for, cascade)| PermissionAction::Revoke {
            grant_option_for,
            cascade
        }),
    ];
    let on = prop_oneof![
        Just(Securable::Server),
        any_name().prop_map(Securable::Login),
        any_name().prop_map(Securable::Endpoint),
    ];
    let on = on.prop_flat_map(|on| {
        let fits = |p: &Permission| p.classes().contains(&on.class());
        let fitting: Vec<Permission> = Permission::ALL.into_iter().filter(fits).collect();
        (
            Just(on),
            prop::collection::vec(prop::sample::select(fitting), 1..4),
        )
    });
    let principals = prop::collection::vec(any_name(), 1..4);
    (action, on, principals, prop::option::of(any_name())).prop_map(
        |(action, (on, permissions), principals, grantor)| PermissionStatement {
            action,
            permissions,
            on,
            principals,
            grantor,
        },
    )
}

/// Pieces that together make almost-statements.
const PIECES: &[&str] = &[
    "CREATE",
    "ALTER",
    "DROP",
    "ENDPOINT",
    "e",
    "[e]",
    "STATE",
    "=",
    "STARTED",
    "AS TCP",
    "(",
    ")",
    "LISTENER_PORT",
    "7022",
    ",",
    "LISTENER_IP",
    "ALL",
    "10.0.0.1",
    "FOR DATABASE_MIRRORING",
    "ROLE",
    "PARTNER",
    "AUTHENTICATION",
    "CERTIFICATE",
    "WINDOWS",
    "DATABASE",
    "SET",
    "WITNESS",
    "'TCP://x:1'",
    "OFF",
    "LOGIN",
    "USER",
    "WITH",
    "PASSWORD",
    "MASTER KEY",
    "GRANT",
    "CONNECT",
    "ON",
    "::",
    "TO",
    "BACKUP",
    "RESTORE",
    "LOG",
    "DISK",
    "NORECOVERY",
    "INSERT",
    "INTO",
    "t",
    "VALUES",
    "UPDATE",
    "WHERE",
    "SELECT",
    "FROM",
    "TOP",
    "UNION",
    "-",
    "+",
    "1",
    ";",
    "\n",
    "--",
    "/*",
    "*/",
    "'",
    "\"",
    "[",
    "]",
    "N'",
    "0x",
    "@x",
    "#",
    "$",
    "$$",
    "\u{feff}",
    "🦀",
    "\r\n",
    "PRINT",
    "CASE",
    "OVER",
    "INTERVAL",
    "{",
    "}",
    "\\",
    ".",
    "..",
    "1e",
    "E'",
];

fn check_bounded(text: &str) -> Result<(), TestCaseError> {
    if let Err(error) = parse(text) {
        if let Some(at) = error.at {
            prop_assert!(text.get(at.start..at.end).is_some(), "{error} at {at:?}");
            prop_assert!(at.line >= 1);
            prop_assert!(at.column >= 1);
        }
        prop_assert!(error.text.len() < 4_096);
        render_error(text, &error);
    }
    let kept: usize = split_batches(text).iter().map(|batch| batch.text.len()).sum();
    prop_assert!(kept <= text.len());
    Ok(())
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        check_bounded(&text)?;
    }

    #[test]
    fn no_pieces_make_the_parser_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        check_bounded(&pieces.join(" "))?;
        check_bounded(&pieces.concat())?;
    }

    #[test]
    fn cut_recipes_do_not_panic(at in 0..RECIPE.len()) {
        check_bounded(&RECIPE[..at])?;
    }

    #[test]
    fn create_endpoint_reads_back_as_printed(endpoint in any_create()) {
        prop_assert_eq!(statements(&endpoint.to_string()), vec![Statement::CreateEndpoint(endpoint)]);
    }

    #[test]
    fn alter_endpoint_reads_back_as_printed(endpoint in any_alter()) {
        prop_assert_eq!(statements(&endpoint.to_string()), vec![Statement::AlterEndpoint(endpoint)]);
    }

    #[test]
    fn permissions_read_back_as_printed(permission in any_permission()) {
        prop_assert_eq!(statements(&permission.to_string()), vec![Statement::Permission(permission)]);
    }
}
