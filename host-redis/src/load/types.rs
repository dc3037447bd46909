//! The type of an exchange of which Redis holds only rows. Kombu does not store it.

use keyrail_core::{ExchangeDefinition, ExchangeKind, Table, kombu::Member};

/// The argument of an exchange whose type nobody tells. It goes wherever the topology goes, and with a word about the type
/// it goes away.
const TYPE: &str = "x-keyrail-type";
const GUESSED: &str = "guessed";

/// Exchanges that Celery declares on Redis, always of these types: events (`celery.events.event.get_exchange`), remote
/// control and the answers to it (`kombu.pidbox.Mailbox`).
const CELERYS: [(&str, ExchangeKind); 3] = [
    ("celeryev", ExchangeKind::Fanout),
    ("celery.pidbox", ExchangeKind::Fanout),
    ("reply.celery.pidbox", ExchangeKind::Direct),
];

/// Whether the type of the exchange with these arguments is a guess.
///
/// Its rows, which have no pattern, may be those of a fanout exchange as well as of a direct one: Kombu writes the same.
///
/// ```
/// use keyrail_core::kombu::{Command, Layout, Plan};
/// use keyrail_redis::{Executor, Host, Memory, load};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let layout = Layout::default();
/// let row = Command::SAdd { key: layout.binding_table("news"), member: b"\x06\x16\x06\x16desk".to_vec() };
/// let memory = Memory::new();
/// memory.run(&Plan { atomic: false, commands: vec![row] }).await.unwrap();
/// let host = Host::from_tables(memory, layout, load::Options::default());
/// let router = &host.table(None).await.unwrap().router;
/// let news = router.exchange_properties(router.exchange("news").unwrap()).unwrap();
/// assert!(load::is_guessed(news.argument_table()));
/// # });
/// ```
pub fn is_guessed(arguments: &Table) -> bool {
    arguments.get(TYPE).is_some_and(|value| *value == GUESSED.into())
}

/// The exchange of these rows: by what was told about it, else by its rows, of which only a topic exchange's have a
/// pattern, else by what Celery declares under this name. What none of them tells is guessed to be direct.
pub(super) fn of_rows<'a>(
    name: &str,
    told: Option<ExchangeKind>,
    mut rows: impl Iterator<Item = &'a Member>,
) -> ExchangeDefinition {
    let seen = || rows.any(|row| !row.pattern.is_empty()).then_some(ExchangeKind::Topic);
    let celerys = || CELERYS.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind);
    match told.or_else(seen).or_else(celerys) {
        Some(kind) => ExchangeDefinition::durable(name, kind),
        None => ExchangeDefinition {
            arguments: Table::from_iter([(TYPE, GUESSED)]),
            ..ExchangeDefinition::durable(name, ExchangeKind::Direct)
        },
    }
}
