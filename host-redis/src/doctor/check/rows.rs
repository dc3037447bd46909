//! Rows that are none, and rows whose text cannot be executed.

use keyrail_core::kombu::{MatcherError, MemberError};

use super::{Check, separator};
use crate::doctor::{Code, Culprit, finding::printable};

impl Check<'_> {
    pub(super) fn rows(&mut self) {
        for (exchange, table) in &self.state.tables {
            for (row, member) in &table.rows {
                match member {
                    Err(error) => self.no_row(exchange, row, error),
                    Ok(member) => match member.matcher() {
                        Ok(_) => {}
                        Err(MatcherError::Invalid(error)) => {
                            let sentence = format!(
                                "Python cannot compile its text, so every Kombu publish to {exchange} as a topic \
                                 exchange raises, for all queues: {error}"
                            );
                            let step = self.remove_row(exchange, table, row);
                            let culprit = Culprit::member(exchange, member);
                            self.report(Code::UnexecutableRow, culprit, sentence, vec![step]);
                        }
                        Err(error) => {
                            let sentence = format!(
                                "Kombu routes by it, keyrail does not: {error}; whether Python compiles it is not \
                                 known here"
                            );
                            self.report(
                                Code::ForeignText,
                                Culprit::member(exchange, member),
                                sentence,
                                vec![],
                            );
                        }
                    },
                }
            }
        }
    }

    fn no_row(&mut self, exchange: &str, row: &[u8], error: &MemberError) {
        if let Some(sep) = separator::other(row, &self.layout.sep) {
            let sentence = format!(
                "it is a row with the separator {}, and this side's is {}: each side raises on the other's rows, \
                 and the lists of their priorities differ",
                printable(sep.as_bytes()),
                printable(self.layout.sep.as_bytes())
            );
            self.report(Code::OtherSeparator, Culprit::row(exchange, row), sentence, vec![]);
            return;
        }
        let effect = match error {
            MemberError::FieldCount { .. } => {
                "every Kombu publish to the exchange raises on it, for all queues"
            }
            MemberError::EmptyQueue => "Kombu pushes to a list without a name",
            _ => "Kombu reads other names than were written",
        };
        let table = &self.state.tables[exchange];
        let step = self.remove_row(exchange, table, row);
        self.report(
            Code::MalformedRow,
            Culprit::row(exchange, row),
            format!("{error}; {effect}"),
            vec![step],
        );
    }
}
