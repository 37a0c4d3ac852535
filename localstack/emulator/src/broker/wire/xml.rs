//! XML responses of the query protocols.

use serde_json::Value;

use crate::broker::error::ErrorCode;

/// The service's XML dialect: SQS flattens lists and maps, SNS wraps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// <http://queue.amazonaws.com/doc/2012-11-05/>
    Sqs,
    /// <http://sns.amazonaws.com/doc/2010-03-31/>
    Sns,
}

impl Dialect {
    fn namespace(self) -> &'static str {
        match self {
            Self::Sqs => "http://queue.amazonaws.com/doc/2012-11-05/",
            Self::Sns => "http://sns.amazonaws.com/doc/2010-03-31/",
        }
    }

    fn code(self, code: ErrorCode) -> &'static str {
        match self {
            Self::Sqs => code.sqs_query_code(),
            Self::Sns => code.name(),
        }
    }
}

/// The response of a successful action.
pub(crate) fn response(dialect: Dialect, action: &str, result: &Value, request_id: &str) -> String {
    let mut out = Writer { dialect, action, text: String::new() };
    out.text
        .push_str(&format!("<?xml version=\"1.0\"?><{action}Response xmlns=\"{}\">", dialect.namespace()));
    out.text.push_str(&format!("<{action}Result>"));
    out.fields(result);
    out.text.push_str(&format!("</{action}Result><ResponseMetadata>"));
    out.leaf("RequestId", request_id);
    out.text.push_str(&format!("</ResponseMetadata></{action}Response>"));
    out.text
}

/// The response of a failed action.
pub(crate) fn error(dialect: Dialect, code: ErrorCode, message: &str, request_id: &str) -> String {
    let mut out = Writer { dialect, action: "", text: String::new() };
    out.text.push_str(&format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"{}\"><Error>",
        dialect.namespace()
    ));
    out.leaf("Type", if code.is_client_error() { "Sender" } else { "Receiver" });
    out.leaf("Code", dialect.code(code));
    out.leaf("Message", message);
    out.text.push_str("</Error>");
    out.leaf("RequestId", request_id);
    out.text.push_str("</ErrorResponse>");
    out.text
}

struct Writer<'a> {
    dialect: Dialect,
    action: &'a str,
    text: String,
}

impl Writer<'_> {
    fn fields(&mut self, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            self.field(name, value);
        }
    }

    fn field(&mut self, name: &str, value: &Value) {
        match (value, self.dialect) {
            (Value::Null, _) => {}
            (Value::String(text), _) => self.leaf(name, text),
            (Value::Bool(_) | Value::Number(_), _) => self.leaf(name, &value.to_string()),
            (Value::Array(items), Dialect::Sqs) => {
                let name = self.item_name(name);
                items.iter().for_each(|item| self.field(&name, item));
            }
            (Value::Array(items), Dialect::Sns) => {
                self.open(name);
                items.iter().for_each(|item| self.field("member", item));
                self.close(name);
            }
            (Value::Object(map), Dialect::Sns) if name == "Attributes" => {
                self.open(name);
                for (key, value) in map {
                    self.pair("entry", ("key", key), ("value", value));
                }
                self.close(name);
            }
            (Value::Object(map), Dialect::Sqs) if name == "Attributes" || name == "MessageAttributes" => {
                for (key, value) in map {
                    self.pair(name.trim_end_matches('s'), ("Name", key), ("Value", value));
                }
            }
            (Value::Object(map), Dialect::Sqs) if name == "Tags" => {
                for (key, value) in map {
                    self.pair("Tag", ("Key", key), ("Value", value));
                }
            }
            (Value::Object(_), _) => {
                self.open(name);
                self.fields(value);
                self.close(name);
            }
        }
    }

    /// The name in SQS of an element of the list.
    fn item_name(&self, list: &str) -> String {
        match list {
            "Messages" => "Message".to_owned(),
            "QueueUrls" | "queueUrls" => "QueueUrl".to_owned(),
            "Failed" => "BatchResultErrorEntry".to_owned(),
            // Successful, Results.
            _ => format!("{}ResultEntry", self.action),
        }
    }

    fn pair(&mut self, element: &str, (key_name, key): (&str, &str), (value_name, value): (&str, &Value)) {
        self.open(element);
        self.leaf(key_name, key);
        self.field(value_name, value);
        self.close(element);
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.open(name);
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // An XML parser normalizes a literal carriage return to a line feed.
                '\r' => self.text.push_str("&#xD;"),
                other => self.text.push(other),
            }
        }
        self.close(name);
    }

    fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}
