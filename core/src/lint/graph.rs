//! Where exchanges lead: nowhere, in circles, to names that are not there.

use alloc::{boxed::Box, format, vec::Vec};

use super::{Code, Culprit, Lint};
use crate::{Destination, Exchange, ExchangeId, Router, Value};

/// A way from one exchange to another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Edge {
    to: usize,
    is_alternate: bool,
}

impl Lint<'_> {
    pub(super) fn graph(&mut self) {
        let graph = Graph::of(self.router);
        self.dangling_names();
        self.queues(&graph);
        self.dead_ends(&graph);
        self.cycles(&graph);
    }

    fn dangling_names(&mut self) {
        let router = self.router;
        for (id, name, _) in router.exchanges() {
            let culprit = || Culprit::Exchange { name: name.into() };
            match router.alternate_exchange(id) {
                Some("") => {
                    let sentence =
                        "its alternate is the default exchange, which RabbitMQ accepts and never asks";
                    self.report(Code::AlternateMissing, culprit(), sentence);
                }
                Some(other) if router.exchange(other).is_none() => {
                    let sentence =
                        format!("there is no alternate exchange `{other}`, so what nothing matches is lost");
                    self.report(Code::AlternateMissing, culprit(), sentence);
                }
                _ => {}
            }
        }
        for (_, name, queue) in router.queues() {
            let target = queue.argument_table().get("x-dead-letter-exchange").and_then(Value::as_str);
            if let Some(target) = target.filter(|target| router.exchange(target).is_none()) {
                let sentence =
                    format!("there is no exchange `{target}` for its dead letters, so they are lost");
                self.report(Code::DeadLetterMissing, Culprit::Queue { name: name.into() }, sentence);
            }
        }
    }

    fn queues(&mut self, graph: &Graph) {
        let router = self.router;
        for (id, name, _) in router.queues() {
            let mut sources = router.bindings_to(id).map(|binding| binding.source).peekable();
            if sources.peek().is_none() {
                let sentence = "no exchange leads to it but the default one, by its name";
                self.report(Code::UnreachableQueue, Culprit::Queue { name: name.into() }, sentence);
            } else if sources.all(|source| !graph.reached[source.0 as usize]) {
                let sentence = "only internal exchanges lead to it, and nothing leads to those";
                self.report(Code::UnreachableQueue, Culprit::Queue { name: name.into() }, sentence);
            }
        }
    }

    fn dead_ends(&mut self, graph: &Graph) {
        let router = self.router;
        for (id, name, _) in router.exchanges() {
            let culprit = || Culprit::Exchange { name: name.into() };
            let is_idle = Router::is_predeclared(name) && router.bindings_from(id).next().is_none();
            if is_idle {
                continue;
            }
            if !graph.reached[id.0 as usize] {
                let sentence = "it is internal, and no binding, alternate or dead letter leads to it";
                self.report(Code::UnreachableExchange, culprit(), sentence);
            }
            if !graph.leads[id.0 as usize] {
                let sentence = match router.bindings_from(id).next() {
                    None => "nothing is bound to it, so what is published there is lost",
                    Some(_) => "no way from it ends at a queue, so what is published there is lost",
                };
                self.report(Code::DeadEndExchange, culprit(), sentence);
            }
        }
    }

    fn cycles(&mut self, graph: &Graph) {
        for component in graph.components() {
            let inside = |at: &usize| component.binary_search(at).is_ok();
            let edges = component.iter().flat_map(|at| &graph.edges[*at]);
            let mut edges = edges.filter(|edge| inside(&edge.to)).peekable();
            if edges.peek().is_none() {
                continue;
            }
            let by_alternates = edges.all(|edge| edge.is_alternate);
            let name = |at: &usize| -> Box<str> {
                self.router.exchange_name(ExchangeId(*at as u32)).unwrap_or_default().into()
            };
            let names = component.iter().map(name).collect();
            let (code, sentence) = match by_alternates {
                true => (
                    Code::AlternateLoop,
                    "alternate exchanges lead round in a circle; each is asked once, and then the message is lost",
                ),
                false => (
                    Code::ExchangeCycle,
                    "bindings lead round in a circle; each exchange is asked once, and the way is cut there",
                ),
            };
            self.report(code, Culprit::Exchanges { names }, sentence);
        }
    }
}

/// Exchanges by number.
struct Graph {
    edges: Vec<Vec<Edge>>,
    /// Whether a publisher's message may come there.
    reached: Vec<bool>,
    /// Whether a way from there ends at a queue.
    leads: Vec<bool>,
}

impl Graph {
    fn of(router: &Router) -> Self {
        let size = router.exchange_bound();
        let mut edges: Vec<Vec<Edge>> = Vec::new();
        edges.resize_with(size, Vec::new);
        let mut back = edges.clone();
        let (mut roots, mut ends) = (Vec::new(), Vec::new());
        for (id, _, exchange) in router.exchanges() {
            let from = id.0 as usize;
            let mut link = |to: ExchangeId, is_alternate| {
                edges[from].push(Edge { to: to.0 as usize, is_alternate });
                back[to.0 as usize].push(Edge { to: from, is_alternate });
            };
            let mut has_queue = id == Router::DEFAULT_EXCHANGE;
            for binding in router.bindings_from(id) {
                match binding.destination {
                    Destination::Exchange(to) => link(to, false),
                    Destination::Queue(_) => has_queue = true,
                }
            }
            let alternate = router.alternate_exchange(id).and_then(|name| router.exchange(name));
            if let Some(alternate) = alternate.filter(|to| *to != Router::DEFAULT_EXCHANGE) {
                link(alternate, true);
            }
            if has_queue {
                ends.push(from);
            }
            if !Exchange::is_internal(exchange) {
                roots.push(from);
            }
        }
        let dead_letters = router.queues().filter_map(|(_, _, queue)| {
            let target = queue.argument_table().get("x-dead-letter-exchange")?.as_str()?;
            router.exchange(target)
        });
        roots.extend(dead_letters.map(|target| target.0 as usize));
        for list in &mut edges {
            list.dedup();
        }
        Graph { reached: spread(&edges, roots), leads: spread(&back, ends), edges }
    }

    /// Strongly connected components, each sorted, in the order of their first members: Tarjan's algorithm with a stack of
    /// its own.
    fn components(&self) -> Vec<Vec<usize>> {
        const NEW: usize = usize::MAX;
        let size = self.edges.len();
        let (mut number, mut low) = (Vec::from_iter((0..size).map(|_| NEW)), Vec::from_iter(0..size));
        let mut on_stack = Vec::from_iter((0..size).map(|_| false));
        let (mut stack, mut found, mut count) = (Vec::new(), Vec::new(), 0);
        for root in 0..size {
            let mut calls = Vec::from([(root, 0)]);
            if number[root] != NEW {
                continue;
            }
            while let Some((at, next)) = calls.pop() {
                if next == 0 {
                    (number[at], low[at]) = (count, count);
                    count += 1;
                    stack.push(at);
                    on_stack[at] = true;
                }
                if let Some(edge) = self.edges[at].get(next) {
                    calls.push((at, next + 1));
                    if number[edge.to] == NEW {
                        calls.push((edge.to, 0));
                    } else if on_stack[edge.to] {
                        low[at] = low[at].min(number[edge.to]);
                    }
                    continue;
                }
                if let Some(&(caller, _)) = calls.last() {
                    low[caller] = low[caller].min(low[at]);
                }
                if low[at] == number[at] {
                    let from = stack.iter().rposition(|other| *other == at).unwrap_or_default();
                    let mut component = stack.split_off(from);
                    component.iter().for_each(|other| on_stack[*other] = false);
                    component.sort_unstable();
                    found.push(component);
                }
            }
        }
        found.sort_unstable();
        found
    }
}

/// Everything that can be reached from `roots`, these included.
fn spread(edges: &[Vec<Edge>], mut roots: Vec<usize>) -> Vec<bool> {
    let mut reached = Vec::from_iter(edges.iter().map(|_| false));
    while let Some(at) = roots.pop() {
        if !core::mem::replace(&mut reached[at], true) {
            roots.extend(edges[at].iter().map(|edge| edge.to));
        }
    }
    reached
}
