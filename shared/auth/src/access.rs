//! The access rule of every route of the API. Tests compare it with the authorizer's policy, with `template.yaml`, with
//! the routers, and with the responses of the running platform to each role.

use erp_domain::identity::{Caller, Role};

/// The callers that a route admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everyone, without a token.
    Public,
    /// Users of any role, and services.
    Reader,
    /// Users of any role.
    Manager,
    /// Finance managers.
    FinanceManager,
}

impl Access {
    /// Returns whether the caller is admitted.
    pub fn allows(self, caller: &Caller) -> bool {
        match (self, caller.role()) {
            (Self::Public | Self::Reader, _) => true,
            (Self::Manager, Some(Role::InventoryManager | Role::FinanceManager)) => true,
            (Self::FinanceManager, Some(Role::FinanceManager)) => true,
            (Self::FinanceManager, Some(Role::InventoryManager)) => false,
            (Self::Manager | Self::FinanceManager, None) => false,
        }
    }
}

/// The access rule of a method of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// The path with parameter names in braces, as in `template.yaml`.
    pub path: &'static str,
    /// The callers that the route admits.
    pub access: Access,
}

const fn rule(method: &'static str, path: &'static str, access: Access) -> Rule {
    Rule { method, path, access }
}

/// The rules. A route without a rule is denied.
pub const RULES: &[Rule] = &[
    rule("POST", "/api/auth/register", Access::Public),
    rule("POST", "/api/auth/login", Access::Public),
    rule("POST", "/api/auth/forgot-password", Access::Public),
    rule("POST", "/api/auth/reset-password", Access::Public),
    rule("POST", "/api/auth/service-token", Access::Public),
    rule("GET", "/api/customers", Access::Reader),
    rule("POST", "/api/customers", Access::Manager),
    rule("GET", "/api/customers/{id}", Access::Reader),
    rule("PUT", "/api/customers/{id}", Access::Manager),
    rule("DELETE", "/api/customers/{id}", Access::FinanceManager),
    rule("GET", "/api/vendors", Access::Reader),
    rule("POST", "/api/vendors", Access::Manager),
    rule("GET", "/api/vendors/{id}", Access::Reader),
    rule("PUT", "/api/vendors/{id}", Access::Manager),
    rule("DELETE", "/api/vendors/{id}", Access::FinanceManager),
    rule("GET", "/api/items", Access::Reader),
    rule("POST", "/api/items", Access::Manager),
    rule("GET", "/api/items/{id}", Access::Reader),
    rule("PUT", "/api/items/{id}", Access::Manager),
    rule("DELETE", "/api/items/{id}", Access::FinanceManager),
    rule("GET", "/api/items/{id}/stock", Access::Reader),
    rule("PUT", "/api/items/{id}/stock", Access::Manager),
    rule("GET", "/api/items/{id}/movements", Access::Reader),
    rule("GET", "/api/sales/orders", Access::Manager),
    rule("POST", "/api/sales/orders", Access::Manager),
    rule("GET", "/api/sales/orders/{id}", Access::Manager),
    rule("PUT", "/api/sales/orders/{id}", Access::Manager),
    rule("POST", "/api/sales/orders/{id}/confirm", Access::Manager),
    rule("POST", "/api/sales/orders/{id}/pay", Access::FinanceManager),
    rule("POST", "/api/sales/orders/{id}/cancel", Access::Manager),
    rule("GET", "/api/sales/orders/{id}/events", Access::Manager),
    rule("GET", "/api/purchase/orders", Access::Manager),
    rule("POST", "/api/purchase/orders", Access::Manager),
    rule("GET", "/api/purchase/orders/{id}", Access::Manager),
    rule("PUT", "/api/purchase/orders/{id}", Access::Manager),
    rule("POST", "/api/purchase/orders/{id}/receive", Access::Manager),
    rule("POST", "/api/purchase/orders/{id}/pay", Access::FinanceManager),
    rule("POST", "/api/purchase/orders/{id}/cancel", Access::Manager),
    rule("GET", "/api/purchase/orders/{id}/events", Access::Manager),
    rule("GET", "/health", Access::Public),
    rule("GET", "/openapi.json", Access::Public),
    rule("GET", "/swagger", Access::Public),
    rule("GET", "/swagger/{proxy+}", Access::Public),
];
