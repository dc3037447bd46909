//! Many messages at once: pipelines, several under way.

use std::collections::VecDeque;

use ::redis::{Pipeline, Value};
use keyrail_core::kombu::Plan;

use super::{Confirm, Message, Prepared, ProduceError, Producer, is_nowhere};
use crate::{
    ExecuteError, Freshness,
    executor::{Once, Ran},
    publish::Ways,
};

/// Messages of one pipeline.
const PIPELINE: usize = 128;
/// Pipelines under way.
const UNDER_WAY: usize = 4;

/// A message on its way, with what was planned for it.
struct Sent<'m> {
    place: usize,
    prepared: Prepared<'m>,
    ways: Ways,
    dead_lettered: bool,
    plan: Plan,
    once: Option<Once>,
}

impl Producer {
    /// Publishes many messages, in pipelines of which several are under way; one answer per message, in their order.
    ///
    /// Messages for the same queue keep their order unless some of them are tried again. The copies of one message are
    /// still one step on the server. A strict producer publishes one after the other.
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

    async fn in_pipelines(
        &self,
        messages: &[Message],
        answers: &mut [Option<Result<Confirm, ProduceError>>],
    ) {
        // An error here comes back for the message that meets it.
        let _ = self.declare_once().await;
        let mut under_way: VecDeque<tokio::task::JoinHandle<_>> = VecDeque::with_capacity(UNDER_WAY);
        let mut sent_before = VecDeque::with_capacity(UNDER_WAY);
        for (chunk, messages) in messages.chunks(PIPELINE).enumerate() {
            let mut sent = Vec::with_capacity(messages.len());
            for (n, message) in messages.iter().enumerate() {
                let place = chunk * PIPELINE + n;
                match self.planned(place, message).await {
                    Ok(Some(planned)) => sent.push(planned),
                    // Published alone, afterwards.
                    Ok(None) => {}
                    Err(error) => answers[place] = Some(Err(error)),
                }
            }
            if sent.is_empty() {
                continue;
            }
            let mut pipeline = Pipeline::with_capacity(sent.len());
            pipeline.ignore_errors();
            let mut refused = None;
            for planned in &sent {
                let added = match &planned.once {
                    Some(once) => self.redis.add_once(&mut pipeline, &planned.plan, once),
                    None => self.redis.add(&mut pipeline, &planned.plan),
                };
                if let Err(error) = added {
                    refused = Some(error);
                }
            }
            if let Some(error) = refused {
                // No server was asked; each message finds out for itself.
                tracing::debug!("a pipeline could not be written: {error}");
                continue;
            }
            if under_way.len() == UNDER_WAY {
                self.settle(under_way.pop_front(), sent_before.pop_front(), answers).await;
            }
            let mut link = self.redis.link().clone();
            under_way
                .push_back(tokio::spawn(async move { pipeline.query_async::<Vec<Value>>(&mut link).await }));
            sent_before.push_back(sent);
        }
        while !under_way.is_empty() {
            self.settle(under_way.pop_front(), sent_before.pop_front(), answers).await;
        }
    }

    /// Nothing for a message that needs more than commands in a pipeline.
    async fn planned<'m>(
        &self,
        place: usize,
        message: &'m Message,
    ) -> Result<Option<Sent<'m>>, ProduceError> {
        let prepared = self.prepare(message)?;
        let (reach, mut ways) = self.declared_ways(&prepared).await?;
        let dead_lettered = self.dead_letter(&mut ways);
        self.check_mandatory(&prepared, is_nowhere(&ways))?;
        let plan = self.plan(&prepared, &ways, reach.as_deref());
        let once = self.once(&prepared, &ways, dead_lettered).filter(|_| !plan.commands.is_empty());
        if (plan.commands.len() > 1 || once.is_some()) && self.redis.link().spreads() {
            return Ok(None);
        }
        Ok(Some(Sent { place, prepared, ways, dead_lettered, plan, once }))
    }

    async fn settle(
        &self,
        answered: Option<tokio::task::JoinHandle<::redis::RedisResult<Vec<Value>>>>,
        sent: Option<Vec<Sent<'_>>>,
        answers: &mut [Option<Result<Confirm, ProduceError>>],
    ) {
        let (Some(answered), Some(sent)) = (answered, sent) else { return };
        let values = match answered.await {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(error)) => Err(self.redis.error(error)),
            Err(_) => Err(ExecuteError::Server { message: "a pipeline was abandoned".into() }),
        };
        let mut values = values.map(Vec::into_iter);
        for Sent { place, prepared, ways, dead_lettered, plan, once } in sent {
            let ran = match &mut values {
                Ok(_) if plan.commands.is_empty() => Ok(Ran::Now(Vec::new())),
                Ok(values) => {
                    let value = values.next().unwrap_or(Value::Nil);
                    match &once {
                        Some(_) => self.redis.ran(&plan, value),
                        None => self.redis.read_added(&plan, value).map(Ran::Now),
                    }
                }
                Err(error) => Err(error.clone()),
            };
            let answer = match ran {
                Ok(ran) => self.told(&prepared, ways, &plan, dead_lettered, ran),
                // Known to have failed now: from here on the retry policy counts.
                Err(error) if self.options.retry.is_some() && error.is_temporary() => {
                    self.publish_prepared(&prepared, 1).await
                }
                Err(error) => self.unknown_script(&plan, &prepared, error).await,
            };
            answers[place] = Some(answer);
        }
    }

    /// A server that lost its scripts executed nothing.
    async fn unknown_script(
        &self,
        plan: &Plan,
        prepared: &Prepared<'_>,
        error: ExecuteError,
    ) -> Result<Confirm, ProduceError> {
        let lost = matches!(&error, ExecuteError::Server { message } if message.contains("NOSCRIPT"));
        match lost && (plan.atomic || self.options.once.is_some()) {
            true => self.publish_prepared(prepared, 0).await,
            false => Err(error.into()),
        }
    }
}
