//! Many messages at once: pipelines, several under way.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll};

use ::redis::Value;
use futures_util::future::{BoxFuture, FutureExt};
use keyrail_core::kombu::{Plan, Priority};

use super::{Asked, Confirm, Message, Prepared, ProduceError, Producer, ROOM, is_nowhere};
use crate::{
    ExecuteError, Freshness, HostError,
    executor::{Answers, Commands, Once, Ran},
    publish::Ways,
    table::Reach,
};

/// Messages of one pipeline.
const PIPELINE: usize = 64;
/// Pipelines under way.
const UNDER_WAY: usize = 4;

type Answer = Result<Answers, ExecuteError>;

/// A pipeline that was sent.
struct UnderWay<'m> {
    sent: Vec<Sent<'m>>,
    answering: BoxFuture<'m, Answer>,
    /// The answer, where it came before anybody waited for it.
    early: Option<Answer>,
}

/// A message on its way.
struct Sent<'m> {
    place: usize,
    ways: Ways,
    dead_lettered: bool,
    sending: Sending<'m>,
}

/// What was added to the pipeline for a message.
enum Sending<'m> {
    /// Its payload is not kept: hardly any has to be written again.
    Push {
        asked: Asked<'m>,
        priority: Priority,
    },
    Plan(Box<Planned<'m>>),
}

struct Planned<'m> {
    prepared: Prepared<'m>,
    plan: Plan,
    once: Option<Once>,
}

/// The exchange of the last message, and its table: the next ones of a pipeline mostly go to the same.
type Last<'m> = Option<(&'m str, Option<Arc<Reach>>)>;

impl Producer {
    /// Publishes many messages, in pipelines of which several are under way; one answer per message, in their order.
    ///
    /// Messages for the same queue keep their order unless some of them are tried again. The copies of one message are
    /// still one step on the server. A strict producer publishes one after the other.
    ///
    /// ```no_run
    /// use keyrail_redis::{Connection, Message, Producer, ProducerOptions};
    ///
    /// # async fn publish_all() -> Result<(), Box<dyn std::error::Error>> {
    /// let options = ProducerOptions::new().exchange("orders").routing_key("order.eu.paid");
    /// let producer = Producer::connect(&Connection::new("redis://127.0.0.1/0")?, options).await?;
    /// let messages: Vec<_> = (1..=1000).map(|total| Message::text(format!("{total} EUR"))).collect();
    /// for (message, answer) in messages.iter().zip(producer.publish_all(&messages).await) {
    ///     if let Err(error) = answer {
    ///         eprintln!("{message:?}: {error}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cost
    /// About a command per copy, and no waiting between messages.
    pub async fn publish_all(&self, messages: &[Message]) -> Vec<Result<Confirm, ProduceError>> {
        let one_by_one = self.options.freshness == Freshness::Strict || self.options.replicas.is_some();
        let mut answers: Vec<Option<Result<Confirm, ProduceError>>> = Vec::new();
        answers.resize_with(messages.len(), || None);
        if !one_by_one {
            self.in_pipelines(messages, &mut answers).await;
        }
        for (message, answer) in messages.iter().zip(&mut answers) {
            if answer.is_none() {
                *answer = Some(self.publish(message).await);
            }
        }
        answers.into_iter().flatten().collect()
    }

    async fn in_pipelines<'m>(
        &'m self,
        messages: &'m [Message],
        answers: &mut [Option<Result<Confirm, ProduceError>>],
    ) {
        // An error here comes back for the message that meets it; a declaration that is refused, for each of them.
        if let Err(ProduceError::Host(HostError::Declare(_))) = self.declare_once().await {
            return;
        }
        let mut under_way = VecDeque::with_capacity(UNDER_WAY);
        for (chunk, messages) in messages.chunks(PIPELINE).enumerate() {
            // Before routing: the tables may change while an answer is waited for.
            if under_way.len() == UNDER_WAY {
                self.settle(under_way.pop_front(), answers).await;
            }
            let mut sent = Vec::with_capacity(messages.len());
            let mut commands = Commands::to(&self.redis, messages.len(), ROOM);
            let mut last = None;
            for (n, message) in messages.iter().enumerate() {
                let place = chunk * PIPELINE + n;
                match self.add(&mut commands, &mut last, place, message).await {
                    Ok(Some(added)) => sent.push(added),
                    // Published alone, afterwards.
                    Ok(None) => {}
                    Err(error) => answers[place] = Some(Err(error)),
                }
            }
            if sent.is_empty() {
                continue;
            }
            let redis = &self.redis;
            let mut answering = async move { commands.send(redis).await }.boxed();
            // It is sent now, while the next ones are planned.
            let early = poll_fn(|context| match answering.poll_unpin(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => Poll::Ready(None),
            });
            let early = early.await;
            under_way.push_back(UnderWay { sent, answering, early });
        }
        while !under_way.is_empty() {
            self.settle(under_way.pop_front(), answers).await;
        }
    }

    /// Adds what a message needs to the pipeline. Nothing for a message that needs more than that.
    async fn add<'m>(
        &'m self,
        out: &mut Commands,
        last: &mut Last<'m>,
        place: usize,
        message: &'m Message,
    ) -> Result<Option<Sent<'m>>, ProduceError> {
        let prepared = self.prepare(self.asked(message))?;
        let exchange = prepared.asked.exchange;
        let by_last = match last {
            Some((known, reach)) if *known == exchange && self.options.freshness == Freshness::Tracked => {
                Some(self.ways_by(reach.as_deref(), &prepared))
            }
            _ => None,
        };
        let ways = match by_last {
            Some(found) if !self.may_be_missing(found.as_ref()) => found?,
            _ => {
                let (reach, ways) = self.declared_ways(&prepared).await?;
                *last = Some((exchange, reach));
                ways
            }
        };
        let reach = last.as_ref().and_then(|(_, reach)| reach.as_deref());
        self.add_routed(out, place, prepared, ways, reach)
    }

    fn add_routed<'m>(
        &self,
        out: &mut Commands,
        place: usize,
        prepared: Prepared<'m>,
        mut ways: Ways,
        reach: Option<&Reach>,
    ) -> Result<Option<Sent<'m>>, ProduceError> {
        let dead_lettered = self.dead_letter(&mut ways);
        self.check_mandatory(&prepared.asked, is_nowhere(&ways))?;
        if self.add_push(out, &prepared, &ways, reach) {
            let priority = prepared.envelope.priority_of();
            let sending = Sending::Push { asked: prepared.asked, priority };
            return Ok(Some(Sent { place, ways, dead_lettered, sending }));
        }
        let plan = self.plan(&prepared, &ways, reach);
        let once = self.once(&prepared, &ways, dead_lettered).filter(|_| !plan.commands.is_empty());
        if (plan.commands.len() > 1 || once.is_some()) && self.redis.link().spreads() {
            return Ok(None);
        }
        match &once {
            Some(once) => self.redis.add_once(out, &plan, once)?,
            None => self.redis.add(out, &plan)?,
        }
        let sending = Sending::Plan(Box::new(Planned { prepared, plan, once }));
        Ok(Some(Sent { place, ways, dead_lettered, sending }))
    }

    async fn settle(
        &self,
        under_way: Option<UnderWay<'_>>,
        answers: &mut [Option<Result<Confirm, ProduceError>>],
    ) {
        let Some(UnderWay { sent, answering, early }) = under_way else { return };
        let mut answer = match early {
            Some(answer) => answer,
            None => answering.await,
        };
        let mut next = || match &mut answer {
            Ok(values) => values.next().unwrap_or(Ok(Value::Nil)),
            Err(error) => Err(error.clone()),
        };
        for Sent { place, ways, dead_lettered, sending } in sent {
            answers[place] = Some(match sending {
                Sending::Push { asked, priority } => {
                    let answer = next();
                    match answer.and_then(|answer| self.pushed(&ways, priority, answer)) {
                        Ok(()) => self.confirm(&asked, ways, &[], &[], dead_lettered),
                        Err(error) => self.again(asked, false, error).await,
                    }
                }
                Sending::Plan(planned) => {
                    let Planned { prepared, plan, once } = *planned;
                    let ran = match &once {
                        _ if plan.commands.is_empty() => Ok(Ran::Now(Vec::new())),
                        Some(_) => next().and_then(|value| self.redis.ran(&plan, value)),
                        None => next().and_then(|value| self.redis.read_added(&plan, value)).map(Ran::Now),
                    };
                    match ran {
                        Ok(ran) => self.told(&prepared, ways, &plan, dead_lettered, ran),
                        Err(error) => self.again(prepared.asked, plan.atomic || once.is_some(), error).await,
                    }
                }
            });
        }
    }

    /// Publishes alone what failed in a pipeline, if that is asked for or does no harm.
    async fn again(
        &self,
        asked: Asked<'_>,
        by_script: bool,
        error: ExecuteError,
    ) -> Result<Confirm, ProduceError> {
        // Known to have failed now: from here on the retry policy counts.
        if self.options.retry.is_some() && error.is_temporary() {
            return self.publish_prepared(&self.prepare(asked)?, 1).await;
        }
        // A server that lost its scripts executed nothing.
        if by_script && matches!(&error, ExecuteError::Server { message } if message.contains("NOSCRIPT")) {
            return self.publish_prepared(&self.prepare(asked)?, 0).await;
        }
        Err(error.into())
    }
}
