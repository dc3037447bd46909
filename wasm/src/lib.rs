//! The JavaScript surface of `keyrail-core`: glue, and no decisions.
//!
//! The calls that run for every message pass bytes and ids through memory that both sides see. Structured values cross as
//! bytes too: they come in as a tree ([`node`]) and go out through serde ([`write`](mod@write)). `js/router.ts` is the
//! class that people use: it checks and copies what it is given before it calls in here, so that no getter, proxy or
//! cycle of a caller ever runs inside a call.

mod answers;
mod arguments;
mod error;
mod fields;
mod follow;
#[cfg(feature = "full")]
mod full;
mod held;
mod node;
mod operation;
mod plan;
#[cfg(feature = "full")]
mod read;
mod table;
mod task;
mod value;
mod write;

use std::mem;

use keyrail_core::{
    ExchangeId, ExchangeKind, Limits, Message, Outcome, QueueId, Router, Routes, Table, Topology, Trace,
    kombu::QuarantinedRow,
};
use wasm_bindgen::prelude::*;

use crate::{
    answers::Answers,
    error::Failure,
    fields::node,
    held::Held,
    plan::{Address, Content},
    table::Quarantined,
    value::{Explained, Publish},
    write::write,
};

/// The number that stands for "no such exchange". Ids are 32 bits wide, so there are never as many queues or answers.
const UNKNOWN_EXCHANGE: u32 = u32::MAX;

/// A router with the memory that routing through it needs.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    held: Held,
    routes: Routes,
    answers: Answers,
    trace: Trace,
    /// JavaScript writes routing keys here, of a batch one after the other.
    input: Vec<u8>,
    /// JavaScript writes an exchange and a length here for each key of a batch, and reads the number of the answer.
    batch: Vec<u32>,
    /// The ids of the queues that the last route found, for JavaScript to read.
    ids: Vec<u32>,
    /// The rows that the binding table of Kombu's had and the router has not.
    quarantine: Vec<QuarantinedRow>,
    /// What random exchanges choose by; JavaScript draws it, since the module knows no randomness.
    random: u64,
}

impl From<Router> for Core {
    fn from(router: Router) -> Self {
        Core {
            held: Held::Own(router),
            // JavaScript remembers answers by its own strings, which saves it the way here.
            routes: Routes::without_cache(),
            answers: Answers::default(),
            trace: Trace::new(),
            input: Vec::new(),
            batch: Vec::new(),
            ids: Vec::new(),
            quarantine: Vec::new(),
            random: 0,
        }
    }
}

#[wasm_bindgen]
impl Core {
    #[wasm_bindgen(constructor)]
    pub fn new(predeclared: bool, seed: u64, key_bytes: usize, bindings: usize) -> Core {
        let mut router = Router::with_seed(seed);
        router.set_limits(Limits::default().key_bytes(key_bytes).bindings(bindings));
        if predeclared {
            router.predeclare_exchanges();
        }
        router.into()
    }

    #[wasm_bindgen(js_name = fromTopology)]
    pub fn from_topology(topology: &[u8]) -> Result<Core, JsValue> {
        let topology = operation::topology(&node(topology)?)?;
        Ok(topology.router().map_err(Failure::from)?.into())
    }

    /// A router with one exchange of Kombu's, from the rows of its binding table.
    #[wasm_bindgen(js_name = fromRows)]
    pub fn from_rows(rows: &[u8]) -> Result<Core, JsValue> {
        let table = table::read(&node(rows)?)?;
        Ok(Core { quarantine: table.quarantine, ..table.router.into() })
    }

    /// The rows that [`from_rows`](Core::from_rows) skipped.
    pub fn quarantine(&self) -> Result<Vec<u8>, JsValue> {
        write(&self.quarantine.iter().map(Quarantined::from).collect::<Vec<_>>())
    }

    pub fn apply(&mut self, operation: &[u8]) -> Result<(), JsValue> {
        let operation = operation::operation(&node(operation)?)?;
        self.answers.forget();
        Ok(self.held.apply(&operation)?)
    }

    // --- Every message -------------------------------------------------------------------------------------------

    /// Room for keys of so many bytes; its address. It never moves but in here.
    pub fn input(&mut self, bytes: usize) -> *const u8 {
        if self.input.len() < bytes {
            self.input.resize(bytes, 0);
        }
        self.input.as_ptr()
    }

    /// Room for so many exchanges and lengths, by turns; its address. It never moves but in here.
    #[wasm_bindgen(js_name = batch)]
    pub fn batch_room(&mut self, keys: usize) -> *const u32 {
        if self.batch.len() < keys * 2 {
            self.batch.resize(keys * 2, 0);
        }
        self.batch.as_ptr()
    }

    /// Routes by the first `length` bytes of the input. Returns the number of the answer.
    pub fn answer(&mut self, exchange: u32, length: usize) -> u32 {
        self.number(exchange, 0, length)
    }

    /// Routes by as many keys as are in the batch, and puts the number of each answer in the place of its exchange.
    #[wasm_bindgen(js_name = answerBatch)]
    pub fn answer_batch(&mut self, keys: usize) {
        let mut start = 0;
        for at in 0..keys.min(self.batch.len() / 2) {
            let length = self.batch[at * 2 + 1] as usize;
            self.batch[at * 2] = self.number(self.batch[at * 2], start, length);
            start = start.saturating_add(length);
        }
    }

    /// How many queues an answer has.
    #[wasm_bindgen(js_name = answerLength)]
    pub fn answer_length(&self, number: u32) -> usize {
        self.answers.get(number).len()
    }

    /// Where the ids of its queues are; the next answer may move them.
    #[wasm_bindgen(js_name = answerAddress)]
    pub fn answer_address(&self, number: u32) -> *const u32 {
        self.answers.get(number).as_ptr()
    }

    /// Numbers answers from 0 again.
    pub fn forget(&mut self) {
        self.answers.forget();
    }

    /// Routes by the first `length` bytes of the input. Returns the number of queues.
    pub fn route(&mut self, exchange: u32, length: usize) -> u32 {
        let key = self.input.get(..length).unwrap_or_default();
        let message = Message::new(key).random(self.random);
        let outcome = self.held.router().route(ExchangeId::from_index(exchange), &message, &mut self.routes);
        self.keep(outcome)
    }

    /// Routes by a key for which there is no room.
    #[wasm_bindgen(js_name = routeLong)]
    pub fn route_long(&mut self, exchange: u32, key: &[u8]) -> u32 {
        let message = Message::new(key).random(self.random);
        let outcome = self.held.router().route(ExchangeId::from_index(exchange), &message, &mut self.routes);
        self.keep(outcome)
    }

    /// Whether there is a random exchange, so that every message needs a number.
    pub fn draws(&self) -> bool {
        self.router().exchanges().any(|(_, _, exchange)| exchange.kind() == ExchangeKind::Random)
    }

    /// Sets the number that the following messages choose by: a fraction from 0 to 1.
    pub fn draw(&mut self, fraction: f64) {
        self.random = (fraction * 18_446_744_073_709_551_616.0) as u64;
    }

    /// Routes a message with headers or properties.
    #[wasm_bindgen(js_name = routeMessage)]
    pub fn route_message(&mut self, message: &[u8]) -> Result<u32, JsValue> {
        let publish = Publish::read(&node(message)?)?;
        let (exchange, message) = publish.message(self.held.router()).map_err(Failure::from)?;
        let outcome = self.held.router().route(exchange, &message.random(self.random), &mut self.routes);
        Ok(self.keep(outcome))
    }

    /// The number of the answer that the last message got.
    pub fn numbered(&mut self) -> u32 {
        self.answers.number(&self.routes)
    }

    /// The id of an exchange that takes publishes.
    pub fn publishable(&self, exchange: &str) -> Result<u32, JsValue> {
        let (id, _) = self.router().message(exchange, "", None).map_err(Failure::from)?;
        Ok(id.index())
    }

    /// Where the ids of the last route are; the next one may move them.
    #[wasm_bindgen(js_name = idsAddress)]
    pub fn ids_address(&self) -> *const u32 {
        self.ids.as_ptr()
    }

    #[wasm_bindgen(js_name = deliveredHeaders)]
    pub fn delivered_headers(headers: &[u8]) -> Result<Vec<u8>, JsValue> {
        let headers = arguments::table(&node(headers)?)?;
        let message = Message::new("").headers(&headers).map_err(Failure::from)?;
        write(&message.delivered_headers().map(|(name, value)| (name, value.clone())).collect::<Table>())
    }

    // --- Questions -----------------------------------------------------------------------------------------------

    /// With as many near misses as are asked for.
    pub fn explain(&mut self, message: &[u8], near_misses: usize) -> Result<Vec<u8>, JsValue> {
        let publish = Publish::read(&node(message)?)?;
        self.trace = mem::take(&mut self.trace).with_near_misses(near_misses);
        let (exchange, message) = publish.message(self.held.router()).map_err(Failure::from)?;
        let outcome = self.held.router().explain(exchange, &message.random(self.random), &mut self.trace);
        write(&Explained::new(outcome, &self.trace))
    }

    /// The Redis commands that publish a message. `deliveryTags` has as many as there are copies.
    pub fn plan(&mut self, message: &[u8]) -> Result<Vec<u8>, JsValue> {
        let node = node(message)?;
        let publish = Publish::read(&node)?;
        let address = Address::read(&node)?;
        let content = Content::read(&node)?;
        let (exchange, message) = publish.message(self.held.router()).map_err(Failure::from)?;
        write(&address.plan(
            self.held.router(),
            exchange,
            &message.random(self.random),
            &content.envelope(),
            &mut self.routes,
        ))
    }

    /// The Redis commands that send a task of Celery's.
    #[wasm_bindgen(js_name = planTask)]
    pub fn plan_task(&mut self, task: &[u8]) -> Result<Vec<u8>, JsValue> {
        let node = node(task)?;
        let address = Address::read(&node)?;
        let envelope = task::envelope(&node)?;
        let (exchange, message) = address.message(self.held.router()).map_err(Failure::from)?;
        write(&address.plan(
            self.held.router(),
            exchange,
            &message.random(self.random),
            &envelope,
            &mut self.routes,
        ))
    }

    /// The key of the binding table of an exchange.
    #[wasm_bindgen(js_name = bindingTableKey)]
    pub fn binding_table_key(exchange: &str, layout: &[u8]) -> Result<String, JsValue> {
        let layout = arguments::layout(&node(layout)?)?;
        Ok(layout.binding_table(exchange))
    }

    #[wasm_bindgen(js_name = topology)]
    pub fn to_topology(&self) -> Result<Vec<u8>, JsValue> {
        write(&Topology::of(self.router()))
    }

    #[wasm_bindgen(js_name = exchangeId)]
    pub fn exchange_id(&self, name: &str) -> Option<u32> {
        self.router().exchange(name).map(ExchangeId::index)
    }

    #[wasm_bindgen(js_name = queueId)]
    pub fn queue_id(&self, name: &str) -> Option<u32> {
        self.router().queue(name).map(QueueId::index)
    }

    #[wasm_bindgen(js_name = queueName)]
    pub fn queue_name(&self, id: u32) -> Option<String> {
        self.router().queue_name(QueueId::from_index(id)).map(str::to_owned)
    }

    /// The longest key that a publish may have.
    #[wasm_bindgen(js_name = keyBytes)]
    pub fn key_bytes(&self) -> usize {
        self.router().limits().key_bytes
    }

    /// A double: exact for the first nine quadrillion changes.
    pub fn revision(&self) -> f64 {
        self.router().revision() as f64
    }
}

impl Core {
    fn router(&self) -> &Router {
        self.held.router()
    }

    #[inline]
    fn number(&mut self, exchange: u32, start: usize, length: usize) -> u32 {
        let key = self.input.get(start..start.saturating_add(length)).unwrap_or_default();
        let message = Message::new(key).random(self.random);
        match self.held.router().route(ExchangeId::from_index(exchange), &message, &mut self.routes) {
            Outcome::UnknownExchange => UNKNOWN_EXCHANGE,
            Outcome::Routed | Outcome::Unroutable => self.answers.number(&self.routes),
        }
    }

    fn keep(&mut self, outcome: Outcome) -> u32 {
        self.ids.clear();
        if outcome == Outcome::UnknownExchange {
            return UNKNOWN_EXCHANGE;
        }
        self.ids.extend(self.routes.into_iter().map(QueueId::index));
        self.ids.len() as u32
    }
}
