//! What to tell Redis: the commands of each verb, in order.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::{fmt, mem};

use super::command::Command;
use super::envelope::Envelope;
use super::json::write_string;
use super::member::{Member, MemberError};
use super::names::Layout;
use super::pattern::translate;
use crate::Dialect;

/// Commands in order, and whether they count only together.
///
/// ```
/// use keyrail_core::kombu::{Layout, plan};
///
/// let purge = plan::purge(&Layout::default(), "q");
/// assert!(purge.atomic);
/// assert_eq!(purge.commands.len(), 8);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// To be sent in this order.
    pub commands: Vec<Command>,
    /// Whether they belong between `MULTI` and `EXEC`. Where that cannot be had (several slots of a cluster), an
    /// interruption may leave the first ones done.
    pub atomic: bool,
}

impl Plan {
    fn atomic(commands: Vec<Command>) -> Self {
        Plan { atomic: commands.len() > 1, commands }
    }
}

impl fmt::Display for Plan {
    /// One command a line, as redis-cli takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.atomic {
            f.write_str("MULTI\n")?;
        }
        for command in &self.commands {
            writeln!(f, "{command}")?;
        }
        if self.atomic {
            f.write_str("EXEC\n")?;
        }
        Ok(())
    }
}

/// What is published where.
///
/// ```
/// use keyrail_core::kombu::{Envelope, plan::Publish};
///
/// let envelope = Envelope::text("x");
/// let publish = Publish::new("news", "a.b", &envelope);
/// assert_eq!(publish.exchange, "news");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// The exchange, not empty.
    pub exchange: &'a str,
    /// The routing key. A fanout channel is text: bytes that are no UTF-8 are U+FFFD in its name, as Kombu reads it.
    pub routing_key: &'a [u8],
    /// The message.
    pub envelope: &'a Envelope,
    /// Whether each copy names its queue, on the default exchange, instead of the true exchange and key.
    ///
    /// Kombu restores the messages of a crashed consumer by routing them again: with the true address every other queue
    /// gets a second copy, with this one only the queue itself does. The consumer then sees the default exchange.
    pub return_to_queue: bool,
}

impl<'a> Publish<'a> {
    /// A publish with its true address.
    ///
    /// ```
    /// use keyrail_core::kombu::{Envelope, plan::Publish};
    ///
    /// assert!(!Publish::new("news", "a.b", &Envelope::text("x")).return_to_queue);
    /// ```
    pub fn new(
        exchange: &'a str,
        routing_key: &'a (impl AsRef<[u8]> + ?Sized),
        envelope: &'a Envelope,
    ) -> Self {
        Publish { exchange, routing_key: routing_key.as_ref(), envelope, return_to_queue: false }
    }
}

/// Pushes a copy to each queue that the message was routed to.
///
/// `tags` gives each copy a delivery tag of its own. Kombu writes the same tag into all copies, so the ack of one
/// consumer deletes the record of another one's delivery.
///
/// No queue, no command: the message is unroutable.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout, plan::{self, Publish}};
///
/// let envelope = Envelope::text("x").priority(6);
/// let mut tags = ["t1", "t2"].into_iter();
/// let plan = plan::publish(
///     &Layout::default(),
///     &Publish::new("news", "a.b", &envelope),
///     ["q1", "q2"],
///     || tags.next().unwrap().to_string(),
/// );
/// assert_eq!(plan.commands[1].key(), "q2\x06\x166");
/// assert!(plan.atomic);
/// ```
pub fn publish<'q>(
    layout: &Layout,
    publish: &Publish<'_>,
    queues: impl IntoIterator<Item = &'q str>,
    mut tags: impl FnMut() -> String,
) -> Plan {
    let priority = publish.envelope.priority_of();
    let mut queues = queues.into_iter().peekable();
    let mut copies = Vec::with_capacity(queues.size_hint().0);
    if publish.return_to_queue {
        copies.extend(queues.map(|queue| Command::LPush {
            key: layout.list(queue, priority),
            value: publish.envelope.to_bytes("", queue, &tags()),
        }));
        return Plan::atomic(copies);
    }
    let mut addressed = publish.envelope.addressed(publish.exchange, publish.routing_key);
    while let Some(queue) = queues.next() {
        let tag = tags();
        let value = match queues.peek() {
            Some(_) => addressed.to_bytes(&tag),
            // Most messages have one copy, which needs no other.
            None => mem::take(&mut addressed).into_bytes(&tag),
        };
        copies.push(Command::LPush { key: layout.list(queue, priority), value });
    }
    Plan::atomic(copies)
}

/// Publishes to a fanout exchange: one `PUBLISH`, whoever listens.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout, plan::{self, Publish}};
///
/// let envelope = Envelope::text("x");
/// let plan = plan::publish_fanout(&Layout::default(), &Publish::new("news", "a.b", &envelope), "t1");
/// assert_eq!(plan.commands[0].key(), "/0.news/a.b");
/// ```
pub fn publish_fanout(layout: &Layout, publish: &Publish<'_>, tag: &str) -> Plan {
    Plan::atomic(vec![Command::Publish {
        channel: layout.fanout_channel(publish.exchange, &String::from_utf8_lossy(publish.routing_key)),
        payload: publish.envelope.to_bytes(publish.exchange, publish.routing_key, tag),
    }])
}

/// Publishes to the default exchange: into the list that the routing key names, declared or not.
///
/// ```
/// use keyrail_core::kombu::{Envelope, Layout, plan};
///
/// let plan = plan::publish_default(&Layout::default(), "celery", &Envelope::text("x"), "t1");
/// assert_eq!(plan.commands[0].key(), "celery");
/// ```
pub fn publish_default(layout: &Layout, routing_key: &str, envelope: &Envelope, tag: &str) -> Plan {
    Plan::atomic(vec![Command::LPush {
        key: layout.list(routing_key, envelope.priority_of()),
        value: envelope.to_bytes("", routing_key, tag),
    }])
}

/// Binds a queue that does not expire.
///
/// Both tables are written together: Kombu 5.7 deletes a whole table whose expiring bindings ran out unless the
/// exchange also has a permanent one.
///
/// # Errors
/// A row that would not be read back as it was meant.
///
/// ```
/// use keyrail_core::kombu::{Layout, Member, plan};
///
/// let plan = plan::bind(&Layout::default(), "orders", &Member::plain("red", "q1")).unwrap();
/// assert_eq!(plan.commands[1].key(), "_kombu.binding_permanent.orders");
/// ```
pub fn bind(layout: &Layout, exchange: &str, member: &Member) -> Result<Plan, MemberError> {
    let member = member.to_bytes(&layout.sep)?;
    Ok(Plan::atomic(vec![
        Command::SAdd { key: layout.binding_table(exchange), member: member.clone() },
        Command::SAdd { key: layout.permanent_table(exchange), member },
    ]))
}

/// Binds a queue that expires after so many milliseconds without use; `now_ms` is Unix time by the server's clock.
///
/// The table lives at least an hour and at least twice as long as the queue; a bind or refresh in time moves the
/// deadline. Then Kombu 5.7 deletes the table as a whole, unless it also has permanent bindings.
///
/// # Errors
/// Those of [`bind`].
///
/// ```
/// use keyrail_core::kombu::{Layout, Member, plan};
///
/// let member = Member::plain("k", "eq");
/// let plan = plan::bind_expiring(&Layout::default(), "ex.exp", &member, 30_000, 1_795_358_844_036).unwrap();
/// let deadline = r#"ZADD "_kombu.binding_deadlines" "GT" "1795362444036" "ex.exp""#;
/// assert_eq!(plan.commands[1].to_string(), deadline);
/// ```
pub fn bind_expiring(
    layout: &Layout,
    exchange: &str,
    member: &Member,
    expires_ms: u64,
    now_ms: u64,
) -> Result<Plan, MemberError> {
    let member = member.to_bytes(&layout.sep)?;
    let score = now_ms.saturating_add(expires_ms.saturating_mul(2).max(SHORTEST_DEADLINE_MS));
    Ok(Plan::atomic(vec![
        Command::SAdd { key: layout.binding_table(exchange), member },
        Command::ZAddGt { key: layout.binding_deadlines(), score, member: exchange.into() },
    ]))
}

/// Kombu 5.7 never lets a table expire sooner.
const SHORTEST_DEADLINE_MS: u64 = 3_600_000;

/// Lets the lists of an expiring queue live on: after each push and each pop of whoever declared the queue.
///
/// ```
/// use keyrail_core::kombu::{Layout, plan};
///
/// let plan = plan::keep_alive(&Layout::default(), "eq", 30_000);
/// assert_eq!(plan.commands[1].to_string(), r#"PEXPIRE "eq\x06\x163" "30000""#);
/// ```
pub fn keep_alive(layout: &Layout, queue: &str, expires_ms: u64) -> Plan {
    Plan::atomic(layout.lists(queue).map(|key| Command::PExpire { key, milliseconds: expires_ms }).collect())
}

/// Binds like [`bind`], and removes the rows that say the same in another dialect.
///
/// After an upgrade from Kombu 5.6 the old row of a queue stays and keeps on sending it keys of several words for a `*`;
/// nothing in Kombu ever removes it.
///
/// # Errors
/// Those of [`bind`].
///
/// ```
/// use keyrail_core::{Dialect, kombu::{Layout, Member, plan}};
///
/// let member = Member::topic("a.*", "q1", Dialect::Kombu57).unwrap();
/// let plan = plan::rebind(&Layout::default(), "orders", &member).unwrap();
/// let names: Vec<&str> = plan.commands.iter().map(|command| command.name()).collect();
/// assert_eq!(names, ["SADD", "SADD", "SREM", "SREM", "SREM", "SREM"]);
/// ```
pub fn rebind(layout: &Layout, exchange: &str, member: &Member) -> Result<Plan, MemberError> {
    let mut plan = bind(layout, exchange, member)?;
    if member.pattern.is_empty() {
        return Ok(plan);
    }
    let mut texts = vec![member.pattern.clone()];
    for dialect in Dialect::ALL {
        // A key without a text in that dialect has no twin there.
        let Ok(pattern) = translate(&member.routing_key, dialect) else {
            continue;
        };
        if texts.contains(&pattern) {
            continue;
        }
        let twin = Member { pattern: pattern.clone(), ..member.clone() };
        plan.commands.extend(unbind(layout, exchange, &twin)?.commands);
        texts.push(pattern);
    }
    Ok(plan)
}

/// Removes a binding from both tables. (Kombu's own unbind only forgets it in its process, and the row keeps routing.)
///
/// # Errors
/// Those of [`bind`].
///
/// ```
/// use keyrail_core::kombu::{Layout, Member, plan};
///
/// let plan = plan::unbind(&Layout::default(), "orders", &Member::plain("red", "q1")).unwrap();
/// assert_eq!(plan.commands[0].name(), "SREM");
/// ```
pub fn unbind(layout: &Layout, exchange: &str, member: &Member) -> Result<Plan, MemberError> {
    let member = member.to_bytes(&layout.sep)?;
    Ok(Plan::atomic(vec![
        Command::SRem { key: layout.binding_table(exchange), member: member.clone() },
        Command::SRem { key: layout.permanent_table(exchange), member },
    ]))
}

/// Reads the binding table of an exchange.
///
/// ```
/// use keyrail_core::kombu::{Layout, plan};
///
/// assert_eq!(plan::table(&Layout::default(), "x").to_string(), "SMEMBERS \"_kombu.binding.x\"\n");
/// ```
pub fn table(layout: &Layout, exchange: &str) -> Plan {
    Plan::atomic(vec![Command::SMembers { key: layout.binding_table(exchange) }])
}

/// Counts the messages of a queue: the answers add up.
///
/// ```
/// use keyrail_core::kombu::{Layout, plan};
///
/// assert_eq!(plan::count(&Layout::default(), "q").commands.len(), 4);
/// ```
pub fn count(layout: &Layout, queue: &str) -> Plan {
    Plan::atomic(layout.lists(queue).map(|key| Command::LLen { key }).collect())
}

/// Empties a queue. The answers to its `LLEN`s add up to the number of messages that were deleted.
///
/// ```
/// use keyrail_core::kombu::{Layout, plan};
///
/// assert!(plan::purge(&Layout::default(), "q").to_string().starts_with("MULTI\nLLEN \"q\"\nDEL \"q\"\n"));
/// ```
pub fn purge(layout: &Layout, queue: &str) -> Plan {
    let lists = layout.lists(queue);
    Plan::atomic(lists.flat_map(|key| [Command::LLen { key: key.clone() }, Command::Del { key }]).collect())
}

/// Deletes a queue: its bindings, then its lists.
///
/// # Errors
/// Those of [`bind`], for the first such row; then nothing is planned.
///
/// ```
/// use keyrail_core::kombu::{Layout, Member, plan};
///
/// let rows = [("orders", &Member::plain("red", "q1"))];
/// let plan = plan::delete_queue(&Layout::default(), "q1", rows).unwrap();
/// assert_eq!(plan.commands.len(), 2 + 4);
/// ```
pub fn delete_queue<'m>(
    layout: &Layout,
    queue: &str,
    bindings: impl IntoIterator<Item = (&'m str, &'m Member)>,
) -> Result<Plan, MemberError> {
    let mut commands = Vec::new();
    for (exchange, member) in bindings {
        commands.extend(unbind(layout, exchange, member)?.commands);
    }
    commands.extend(layout.lists(queue).map(|key| Command::Del { key }));
    Ok(Plan::atomic(commands))
}

/// The name under which a delivery is registered.
///
/// The tag is not enough: Kombu's publishers write one tag into the copies of several queues, and a message keeps its tag
/// when it is delivered again. `once` must differ from delivery to delivery, so that the late ack of an earlier one cannot
/// settle a later one.
///
/// ```
/// assert_eq!(keyrail_core::kombu::plan::delivery("t1", "c7", "q1"), "t1#c7#q1");
/// ```
pub fn delivery(tag: &str, once: &str, queue: &str) -> String {
    format!("{tag}#{once}#{queue}")
}

/// Registers a delivery that was taken from a queue: `now` is Unix time in seconds, by the server's clock if it can be.
///
/// The payload is kept byte for byte. The record names the default exchange and the queue as the address to go back to,
/// so that any Kombu process restores it to exactly this queue and to no other.
///
/// ```
/// use keyrail_core::kombu::{Layout, plan};
///
/// let plan = plan::register(&Layout::default(), "t1#q1", "q1", b"{}", 1795358854.5);
/// assert!(plan.to_string().contains(r#"HSET "unacked" "t1#q1" "[{}, \"\", \"q1\"]""#));
/// ```
pub fn register(layout: &Layout, delivery: &str, queue: &str, payload: &[u8], now: f64) -> Plan {
    let mut value = Vec::with_capacity(payload.len() + queue.len() + 16);
    value.push(b'[');
    value.extend_from_slice(payload);
    value.extend_from_slice(br#", "", "#);
    write_string(&mut value, queue);
    value.push(b']');
    Plan::atomic(vec![
        Command::ZAdd { key: layout.unacked_index(), score: now, member: delivery.into() },
        Command::HSet { key: layout.unacked(), field: delivery.into(), value },
    ])
}

/// Settles a delivery: it is done, or rejected without going back.
///
/// ```
/// use keyrail_core::kombu::{Layout, plan};
///
/// let text = "MULTI\nZREM \"unacked_index\" \"t1\"\nHDEL \"unacked\" \"t1\"\nEXEC\n";
/// assert_eq!(plan::ack(&Layout::default(), "t1").to_string(), text);
/// ```
pub fn ack(layout: &Layout, delivery: &str) -> Plan {
    Plan::atomic(vec![
        Command::ZRem { key: layout.unacked_index(), member: delivery.into() },
        Command::HDel { key: layout.unacked(), field: delivery.into() },
    ])
}

/// Stores the result of a Celery task, and tells whoever waits for it: the same bytes under the key and on the channel.
///
/// The database of the results may be another one than the messages'.
///
/// ```
/// use keyrail_core::kombu::plan;
///
/// let plan = plan::store_result("id-1", br#"{"status": "SUCCESS", "result": 5}"#, 86_400);
/// let names: Vec<&str> = plan.commands.iter().map(|command| command.name()).collect();
/// assert_eq!((names, plan.commands[1].key()), (vec!["SETEX", "PUBLISH"], "celery-task-meta-id-1"));
/// ```
pub fn store_result(task_id: &str, result: &[u8], seconds: u64) -> Plan {
    let key = format!("celery-task-meta-{task_id}");
    Plan::atomic(vec![
        Command::SetEx { key: key.clone(), seconds, value: result.to_vec() },
        Command::Publish { channel: key, payload: result.to_vec() },
    ])
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::kombu::Json;

    /// The commands that Kombu 5.7.0 was seen to send for a topic bind and a publish of priority 6.
    #[test]
    fn kombus_commands() {
        let layout = Layout::default();
        let member = Member::topic("a.*", "uq", Dialect::Kombu57).unwrap();
        assert_eq!(
            bind(&layout, "ua.topic", &member).unwrap().to_string(),
            concat!(
                "MULTI\n",
                r#"SADD "_kombu.binding.ua.topic" "a.*\x06\x16^a\\.[^\\.]+$\x06\x16uq""#,
                "\n",
                r#"SADD "_kombu.binding_permanent.ua.topic" "a.*\x06\x16^a\\.[^\\.]+$\x06\x16uq""#,
                "\nEXEC\n"
            )
        );
        let envelope = Envelope::json(&Json::from_iter([("n", Json::from(1))])).priority(6);
        let tag = || "bfecbc48-c1d0-405d-84ba-5220fdaa3bee".to_string();
        let plan = publish(&layout, &Publish::new("ua.topic", "a.b", &envelope), ["uq"], tag);
        assert!(!plan.atomic);
        assert_eq!(
            plan.to_string(),
            concat!(
                r#"LPUSH "uq\x06\x166" "{\"body\": \"eyJuIjogMX0=\", \"content-encoding\": \"utf-8\", \"content-type\": \"application/json\", \"headers\": {}, \"properties\": {\"delivery_mode\": 2, \"delivery_info\": {\"exchange\": \"ua.topic\", \"routing_key\": \"a.b\"}, \"priority\": 6, \"body_encoding\": \"base64\", \"delivery_tag\": \"bfecbc48-c1d0-405d-84ba-5220fdaa3bee\"}}""#,
                "\n"
            )
        );
    }

    #[test]
    fn every_copy_has_a_tag_of_its_own() {
        let mut n = 0;
        let envelope = Envelope::text("x");
        let plan = publish(&Layout::default(), &Publish::new("e", "k", &envelope), ["a", "b", "c"], || {
            n += 1;
            n.to_string()
        });
        for (n, command) in plan.commands.iter().enumerate() {
            let tag = format!(r#""delivery_tag": "{}"}}}}"#, n + 1);
            assert!(command.args()[2].ends_with(tag.as_bytes()));
        }
        assert_eq!(
            publish(&Layout::default(), &Publish::new("e", "k", &envelope), [], String::new),
            Plan::default()
        );
    }

    #[test]
    fn a_copy_may_name_its_own_queue() {
        let envelope = Envelope::text("x");
        let publish_it = Publish { return_to_queue: true, ..Publish::new("e", "k", &envelope) };
        let plan = publish(&Layout::default(), &publish_it, ["a"], || "t".into());
        assert!(plan.to_string().contains(r#"{\"exchange\": \"\", \"routing_key\": \"a\"}"#));
    }

    #[test]
    fn a_row_that_cannot_be_read_back_is_refused() {
        let bad = Member::plain("a\x06\x16b", "q");
        for result in [
            bind(&Layout::default(), "e", &bad),
            rebind(&Layout::default(), "e", &bad),
            unbind(&Layout::default(), "e", &bad),
            delete_queue(&Layout::default(), "q", [("e", &bad)]),
        ] {
            assert_eq!(result.unwrap_err().code(), "member-separator");
        }
    }

    #[test]
    fn a_register_record_is_json_whatever_the_queue_is_called() {
        let plan = register(&Layout::default(), "d", "q\"\n", br#"{"a": 1}"#, 1.0);
        let record: Json = serde_json::from_slice(&plan.commands[1].args()[3]).unwrap();
        assert_eq!(record.to_python(), r#"[{"a": 1}, "", "q\"\n"]"#);
    }
}
