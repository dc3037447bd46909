//! The JavaScript surface of `keyrail-core`: glue, and no decisions.
//!
//! Structured values cross the boundary through serde; the two calls that run for every message pass bytes and ids
//! through memory that both sides see. `js/router.ts` is the class that people use: it checks and copies what it is
//! given before it calls in here, so that no getter, proxy or cycle of a caller ever runs inside a call.

mod error;
mod plan;
mod table;
mod task;
mod value;

use keyrail_core::{
    Definitions, ExchangeId, ExchangeKind, Limits, Message, Operation, Outcome, QueueId, Router, Routes,
    Table, Topology, Trace,
    kombu::{Layout, QuarantinedRow},
};
use wasm_bindgen::prelude::*;

use crate::{
    error::Failure,
    plan::{Address, Content},
    table::{Quarantined, Rows},
    task::Call,
    value::{Explained, Publish, from_js, to_js},
};

/// Room for every routing key that AMQP allows (255 bytes), and one byte more to notice that a key is too long.
const KEY_BYTES: usize = 256;

/// The count that stands for "no such exchange". Ids are 32 bits wide, so no result is that long.
const UNKNOWN_EXCHANGE: u32 = u32::MAX;

/// A router with the memory that routing through it needs.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    router: Router,
    routes: Routes,
    trace: Trace,
    /// JavaScript writes routing keys here. Allocated once, so its address holds as long as the router.
    key: Box<[u8; KEY_BYTES]>,
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
            router,
            routes: Routes::new(),
            trace: Trace::new(),
            key: Box::new([0; KEY_BYTES]),
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
    pub fn from_topology(topology: JsValue) -> Result<Core, JsValue> {
        let topology: Topology = from_js(topology)?;
        Ok(topology.router().map_err(Failure::from)?.into())
    }

    #[wasm_bindgen(js_name = fromDefinitions)]
    pub fn from_definitions(definitions: JsValue, vhost: &str) -> Result<Core, JsValue> {
        let definitions: Definitions = from_js(definitions)?;
        let topology = definitions.topology(vhost).map_err(Failure::from)?;
        Ok(topology.router().map_err(Failure::from)?.into())
    }

    /// A router with one exchange of Kombu's, from the rows of its binding table.
    #[wasm_bindgen(js_name = fromRows)]
    pub fn from_rows(rows: JsValue) -> Result<Core, JsValue> {
        let table = Rows::read(rows)?;
        Ok(Core { quarantine: table.quarantine, ..table.router.into() })
    }

    /// The rows that [`from_rows`](Core::from_rows) skipped.
    pub fn quarantine(&self) -> Result<JsValue, JsValue> {
        to_js(&self.quarantine.iter().map(Quarantined::from).collect::<Vec<_>>())
    }

    pub fn apply(&mut self, operation: JsValue) -> Result<(), JsValue> {
        let operation: Operation = from_js(operation)?;
        Ok(self.router.apply(&operation).map_err(Failure::from)?)
    }

    // --- Every message -------------------------------------------------------------------------------------------

    /// Routes by the first `length` bytes of the key memory. Returns the number of queues.
    pub fn route(&mut self, exchange: u32, length: usize) -> u32 {
        let key = self.key.get(..length).unwrap_or_default();
        let message = Message::new(key).random(self.random);
        let outcome = self.router.route(ExchangeId::from_index(exchange), &message, &mut self.routes);
        self.keep(outcome)
    }

    /// Routes by a key that the key memory cannot hold.
    #[wasm_bindgen(js_name = routeLong)]
    pub fn route_long(&mut self, exchange: u32, key: &[u8]) -> u32 {
        let message = Message::new(key).random(self.random);
        let outcome = self.router.route(ExchangeId::from_index(exchange), &message, &mut self.routes);
        self.keep(outcome)
    }

    /// Whether there is a random exchange, so that every message needs a number.
    pub fn draws(&self) -> bool {
        self.router.exchanges().any(|(_, _, exchange)| exchange.kind() == ExchangeKind::Random)
    }

    /// Sets the number that the following messages choose by: a fraction from 0 to 1.
    pub fn draw(&mut self, fraction: f64) {
        self.random = (fraction * 18_446_744_073_709_551_616.0) as u64;
    }

    /// Routes a message with headers or properties.
    #[wasm_bindgen(js_name = routeMessage)]
    pub fn route_message(&mut self, message: JsValue) -> Result<u32, JsValue> {
        let publish: Publish = from_js(message)?;
        let (exchange, message) = publish.message(&self.router).map_err(Failure::from)?;
        let outcome = self.router.route(exchange, &message.random(self.random), &mut self.routes);
        Ok(self.keep(outcome))
    }

    /// The id of an exchange that takes publishes.
    pub fn publishable(&self, exchange: &str) -> Result<u32, JsValue> {
        let (id, _) = self.router.message(exchange, "", None).map_err(Failure::from)?;
        Ok(id.index())
    }

    #[wasm_bindgen(js_name = keyAddress)]
    pub fn key_address(&self) -> *const u8 {
        self.key.as_ptr()
    }

    /// Where the ids of the last route are; the next one may move them.
    #[wasm_bindgen(js_name = idsAddress)]
    pub fn ids_address(&self) -> *const u32 {
        self.ids.as_ptr()
    }

    #[wasm_bindgen(js_name = deliveredHeaders)]
    pub fn delivered_headers(headers: JsValue) -> Result<JsValue, JsValue> {
        let headers: Table = from_js(headers)?;
        let message = Message::new("").headers(&headers).map_err(Failure::from)?;
        to_js(&message.delivered_headers().map(|(name, value)| (name, value.clone())).collect::<Table>())
    }

    // --- Questions -----------------------------------------------------------------------------------------------

    pub fn explain(&mut self, message: JsValue) -> Result<JsValue, JsValue> {
        let publish: Publish = from_js(message)?;
        let (exchange, message) = publish.message(&self.router).map_err(Failure::from)?;
        let outcome = self.router.explain(exchange, &message.random(self.random), &mut self.trace);
        to_js(&Explained::new(outcome, &self.trace))
    }

    /// The Redis commands that publish a message. `deliveryTags` has as many as there are copies.
    pub fn plan(&mut self, message: JsValue) -> Result<JsValue, JsValue> {
        let publish: Publish = from_js(message.clone())?;
        let address: Address = from_js(message.clone())?;
        let content: Content = from_js(message)?;
        let (exchange, message) = publish.message(&self.router).map_err(Failure::from)?;
        to_js(&address.plan(
            &self.router,
            exchange,
            &message.random(self.random),
            &content.envelope(),
            &mut self.routes,
        ))
    }

    /// The Redis commands that send a task of Celery's.
    #[wasm_bindgen(js_name = planTask)]
    pub fn plan_task(&mut self, task: JsValue) -> Result<JsValue, JsValue> {
        let address: Address = from_js(task.clone())?;
        let call: Call = from_js(task)?;
        let (exchange, message) = address.message(&self.router).map_err(Failure::from)?;
        to_js(&address.plan(
            &self.router,
            exchange,
            &message.random(self.random),
            &call.envelope(),
            &mut self.routes,
        ))
    }

    /// The key of the binding table of an exchange.
    #[wasm_bindgen(js_name = bindingTableKey)]
    pub fn binding_table_key(exchange: &str, layout: JsValue) -> Result<String, JsValue> {
        let layout: Layout = from_js(layout)?;
        Ok(layout.binding_table(exchange))
    }

    pub fn topology(&self) -> Result<JsValue, JsValue> {
        to_js(&Topology::of(&self.router))
    }

    #[wasm_bindgen(js_name = exchangeId)]
    pub fn exchange_id(&self, name: &str) -> Option<u32> {
        self.router.exchange(name).map(ExchangeId::index)
    }

    #[wasm_bindgen(js_name = queueId)]
    pub fn queue_id(&self, name: &str) -> Option<u32> {
        self.router.queue(name).map(QueueId::index)
    }

    #[wasm_bindgen(js_name = queueName)]
    pub fn queue_name(&self, id: u32) -> Option<String> {
        self.router.queue_name(QueueId::from_index(id)).map(str::to_owned)
    }

    /// A double: exact for the first nine quadrillion changes.
    pub fn revision(&self) -> f64 {
        self.router.revision() as f64
    }
}

impl Core {
    fn keep(&mut self, outcome: Outcome) -> u32 {
        self.ids.clear();
        if outcome == Outcome::UnknownExchange {
            return UNKNOWN_EXCHANGE;
        }
        self.ids.extend(self.routes.into_iter().map(QueueId::index));
        self.ids.len() as u32
    }
}
