//! Counts the calls of a DynamoDB client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use erp_aws::Table;

/// The number of calls by operation, such as `Query`. Every attempt counts.
#[derive(Debug, Clone, Default)]
pub struct CallCounter(Arc<Mutex<BTreeMap<String, usize>>>);

impl CallCounter {
    /// Returns a table whose calls are counted.
    pub fn table(&self, table: &Table) -> Table {
        let config = table.client.config().to_builder().interceptor(self.clone());
        Table::new(Client::from_conf(config.build()), &table.name)
    }

    /// Returns the counts since the last call of this function.
    pub fn take(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Intercept for CallCounter {
    fn name(&self) -> &'static str {
        "CallCounter"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // DynamoDB_20120810.Query
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        *self.0.lock().unwrap().entry(operation.to_owned()).or_default() += 1;
        Ok(())
    }
}
