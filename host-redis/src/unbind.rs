//! Taking a binding out of Redis.

use std::collections::HashSet;

use keyrail_core::{
    BindingDefinition, DestinationName, Dialect, Table,
    kombu::{Command, Member, Plan},
};

use crate::{ExecuteError, Executor, Host, HostError, Reply, bind::dialect_of, load, registry};

impl<E: Executor> Host<E> {
    /// Removes a binding by its ends, its key and its arguments, in this dialect or, if none is named, in every one, and
    /// whoever wrote it. Says what was removed; nothing if there was no such binding.
    ///
    /// Of Kombu's rows both are removed, and the deadline of a table in which nothing expires any more. Kombu's own unbind
    /// leaves the row, and a Kombu process that declares the queue again writes it again. [`apply`](Self::apply) unbinds as
    /// a broker does, one dialect at a time.
    ///
    /// ```
    /// use keyrail_core::{BindingDefinition, Dialect, ExchangeKind, kombu::Layout};
    /// use keyrail_redis::{Bind, Host, Memory, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let json = r#"{"source": "orders", "destination": {"queue": "billing"}, "routingKey": "*.paid"}"#;
    /// let binding: BindingDefinition = serde_json::from_str(json).unwrap();
    /// let (kind, dialect) = (Some(ExchangeKind::Topic), Dialect::Kombu57);
    /// host.bind(&Bind { binding: binding.clone(), kind, dialect }).await.unwrap();
    /// assert_eq!(host.unbind(&binding, None).await.unwrap()[0].dialect, Dialect::Kombu57);
    /// assert!(host.unbind(&binding, None).await.unwrap().is_empty());
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of [`load::from_tables`], and of the executor; nothing is removed then.
    /// # Cost
    /// Reads the table of the exchange, its permanent rows if one of them goes, and keyrail's own bindings.
    pub async fn unbind(
        &self,
        binding: &BindingDefinition,
        dialect: Option<Dialect>,
    ) -> Result<Vec<BindingDefinition>, HostError> {
        let mut removing = Removing { binding, dialect, commands: Vec::new(), removed: Vec::new() };
        self.kombus_rows(&mut removing).await?;
        self.own_rows(&mut removing).await?;
        let Removing { commands, removed, .. } = removing;
        if !commands.is_empty() {
            let atomic = commands.len() > 1 && !self.executor().spreads();
            self.executor().run(&Plan { atomic, commands }).await?;
        }
        Ok(removed)
    }

    async fn kombus_rows(&self, removing: &mut Removing<'_>) -> Result<(), HostError> {
        let (layout, options) = self.tables()?;
        let source = &*removing.binding.source;
        let rows = load::rows(self.executor(), layout, source, &options.limits).await?;
        let (taken, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| {
            let member = Member::parse(row, &layout.sep);
            member.is_ok_and(|member| removing.is_row(&member))
        });
        if taken.is_empty() {
            return Ok(());
        }
        for row in taken {
            for key in [layout.binding_table(source), layout.permanent_table(source)] {
                removing.commands.push(Command::SRem { key, member: row.clone() });
            }
            removing
                .removed
                .extend(Member::parse(&row, &layout.sep).ok().map(|row| definition(source, &row)));
        }
        let permanent: HashSet<_> = self.members(layout.permanent_table(source)).await?.into_iter().collect();
        if kept.iter().all(|row| permanent.contains(row)) {
            removing.commands.push(Command::ZRem { key: layout.binding_deadlines(), member: source.into() });
        }
        Ok(())
    }

    async fn own_rows(&self, removing: &mut Removing<'_>) -> Result<(), HostError> {
        let key = registry::bindings_key(self.layout());
        let before = removing.removed.len();
        for member in self.members(key.clone()).await? {
            let Ok(other) = serde_json::from_slice::<BindingDefinition>(&member) else { continue };
            if removing.is_same(&other) {
                removing.commands.push(Command::SRem { key: key.clone(), member });
                removing.removed.push(other);
            }
        }
        if removing.removed.len() == before {
            return Ok(());
        }
        // Removing any binding of a destination takes the buckets of all of them away, as in RabbitMQ.
        let BindingDefinition { source, destination, .. } = removing.binding;
        for owner in registry::buckets(self.executor(), self.layout()).await? {
            if owner.binding.source == *source && owner.binding.destination == *destination {
                let field = registry::bucket_field(&owner.binding);
                removing.commands.push(Command::HDel { key: registry::buckets_key(self.layout()), field });
            }
        }
        Ok(())
    }

    async fn members(&self, key: String) -> Result<Vec<Vec<u8>>, HostError> {
        let plan = Plan { atomic: false, commands: vec![Command::SMembers { key }] };
        match self.executor().run(&plan).await?.pop() {
            Some(Reply::Members(members)) => Ok(members),
            _ => Err(ExecuteError::Server { message: "SMEMBERS answers no set".into() }.into()),
        }
    }
}

struct Removing<'a> {
    binding: &'a BindingDefinition,
    dialect: Option<Dialect>,
    commands: Vec<Command>,
    removed: Vec<BindingDefinition>,
}

impl Removing<'_> {
    fn is_row(&self, row: &Member) -> bool {
        let BindingDefinition { destination, routing_key, arguments, .. } = self.binding;
        // A row without a text, of a direct exchange, has no dialect.
        let is_read_so = |dialect| row.pattern.is_empty() || dialect_of(row) == Some(dialect);
        matches!(destination, DestinationName::Queue(queue) if **queue == *row.queue)
            && **routing_key == *row.routing_key.as_bytes()
            && arguments.is_empty()
            && self.dialect.is_none_or(is_read_so)
    }

    fn is_same(&self, other: &BindingDefinition) -> bool {
        self.binding.is_same_but_for_dialect(other)
            && self.dialect.is_none_or(|dialect| dialect == other.dialect)
    }
}

fn definition(source: &str, row: &Member) -> BindingDefinition {
    let dialect = dialect_of(row);
    let is_others = dialect.is_none() && !row.pattern.is_empty();
    BindingDefinition {
        source: source.into(),
        destination: DestinationName::Queue(row.queue.as_str().into()),
        routing_key: row.routing_key.as_str().into(),
        arguments: Table::new(),
        dialect: dialect.unwrap_or(Dialect::Kombu57),
        pattern: is_others.then(|| row.pattern.as_str().into()),
    }
}
