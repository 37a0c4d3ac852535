//! Every operation that writes, with its preparation.

use erp_domain::PartyKind;
use erp_domain::identity::Role;
use uuid::Uuid;

use crate::model::request::{Adjust, Command, ItemForm, LineForm, PartyForm, Transition};
use crate::model::{Model, OrderKind};

/// An operation with its preparation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Name in reports.
    pub name: &'static str,
    /// Operations that complete before.
    pub preparation: Vec<Make>,
    /// The operation to crash.
    pub command: Make,
    /// Lets the stream record expire, so that the sweep publishes the event, and crashes.
    pub by_sweep: bool,
}

/// Creates an operation from the current state.
pub(crate) type Make = fn(&Fixture<'_>) -> Command;

/// The current state.
pub struct Fixture<'a> {
    /// The model.
    pub model: &'a Model,
    /// Reset tokens, newest last.
    pub tokens: &'a [String],
}

const EMAIL: &str = "user@example.com";
const PASSWORD: &str = "correct horse battery";

impl Fixture<'_> {
    fn party(&self, kind: PartyKind) -> Uuid {
        let mut of_kind = self.model.parties.keys().filter(|(of, _)| *of == kind.as_str());
        of_kind.next().unwrap().1
    }

    /// Returns the `n`th item.
    fn item(&self, n: usize) -> Uuid {
        *self.model.items.keys().nth(n).unwrap()
    }

    /// Returns the `n`th order of a kind.
    fn order(&self, kind: OrderKind, n: usize) -> Uuid {
        self.model.orders.keys().filter(|(of, _)| *of == kind.as_str()).nth(n).unwrap().1
    }

    /// Changes the stock of the first item.
    pub(crate) fn adjust(&self, adjust: Adjust) -> Command {
        Command::AdjustStock(self.item(0), adjust)
    }

    pub(crate) fn sale(&self, lines: &[(usize, i64)]) -> Command {
        self.new_order(OrderKind::Sales, lines)
    }

    fn purchase(&self, lines: &[(usize, i64)]) -> Command {
        self.new_order(OrderKind::Purchase, lines)
    }

    fn new_order(&self, kind: OrderKind, lines: &[(usize, i64)]) -> Command {
        Command::CreateOrder(kind, self.party(kind.party()), self.lines(lines))
    }

    fn lines(&self, lines: &[(usize, i64)]) -> Vec<LineForm> {
        let line =
            |&(n, quantity): &(usize, i64)| LineForm { item: self.item(n), quantity, unit_price: None };
        lines.iter().map(line).collect()
    }

    pub(crate) fn sales(&self, n: usize, transition: Transition) -> Command {
        Command::Advance(OrderKind::Sales, self.order(OrderKind::Sales, n), transition, false)
    }

    fn purchases(&self, n: usize, transition: Transition) -> Command {
        Command::Advance(OrderKind::Purchase, self.order(OrderKind::Purchase, n), transition, false)
    }
}

fn party(n: u32) -> PartyForm {
    PartyForm {
        name: format!("Name {n}"),
        email: format!("party{n}@example.com"),
        phone: String::new(),
        address: "Street".to_owned(),
    }
}

fn item(n: u32) -> ItemForm {
    ItemForm {
        name: format!("Item {n}"),
        description: String::new(),
        sku: format!("SKU-{n}"),
        unit_price: i64::from(100 + n),
    }
}

fn register() -> Command {
    Command::Register { email: EMAIL.to_owned(), password: PASSWORD.to_owned(), role: Role::InventoryManager }
}

fn login(password: &str) -> Command {
    Command::Login { email: EMAIL.to_owned(), password: password.to_owned() }
}

/// Preparation of all operations: a customer, a vendor, two items, and ten of each in stock.
pub(crate) fn opening() -> Vec<Make> {
    vec![
        |_| Command::CreateParty(PartyKind::Customer, party(1)),
        |_| Command::CreateParty(PartyKind::Vendor, party(1)),
        |_| Command::CreateItem(item(1)),
        |_| Command::CreateItem(item(2)),
        |fixture| Command::AdjustStock(fixture.item(0), Adjust::To(10, None)),
        |fixture| Command::AdjustStock(fixture.item(1), Adjust::To(10, None)),
    ]
}

fn operation(name: &'static str, preparation: Vec<Make>, command: Make) -> Operation {
    Operation { name, preparation, command, by_sweep: false }
}

/// Returns all operations.
pub fn operations() -> Vec<Operation> {
    [users(), contacts(), items(), sales(), purchases(), backorders(), sweeps()].concat()
}

fn users() -> Vec<Operation> {
    let forgot: Make = |_| Command::ForgotPassword { email: EMAIL.to_owned() };
    vec![
        operation("register a user", vec![], |_| register()),
        operation("log in", vec![|_| register()], |_| login(PASSWORD)),
        operation("log in with a wrong password", vec![|_| register()], |_| login("wrong horse battery")),
        operation(
            "log in after a wrong password",
            vec![|_| register(), |_| login("wrong horse battery")],
            |_| login(PASSWORD),
        ),
        operation("request a password reset", vec![|_| register()], forgot),
        operation("request a password reset for an unknown address", vec![], forgot),
        operation("reset a password", vec![|_| register(), forgot], |fixture| {
            let token = fixture.tokens.last().cloned().unwrap_or_default();
            Command::ResetPassword { token, password: "another horse battery".to_owned() }
        }),
        operation("get a service token", vec![], |_| Command::ServiceToken { valid: true }),
        operation("fail to get a service token", vec![], |_| Command::ServiceToken { valid: false }),
    ]
}

fn contacts() -> Vec<Operation> {
    use PartyKind::{Customer, Vendor};
    vec![
        operation("create a customer", vec![], |_| Command::CreateParty(Customer, party(2))),
        operation("create a customer with a duplicate e-mail address", vec![], |_| {
            Command::CreateParty(Customer, party(1))
        }),
        operation("update a customer", vec![], |fixture| {
            Command::UpdateParty(Customer, fixture.party(Customer), party(3))
        }),
        operation("delete a customer", vec![], |fixture| {
            Command::DeleteParty(Customer, fixture.party(Customer))
        }),
        operation("create a vendor", vec![], |_| Command::CreateParty(Vendor, party(2))),
        operation("update a vendor", vec![], |fixture| {
            Command::UpdateParty(Vendor, fixture.party(Vendor), party(3))
        }),
        operation("delete a vendor", vec![], |fixture| Command::DeleteParty(Vendor, fixture.party(Vendor))),
    ]
}

fn items() -> Vec<Operation> {
    vec![
        operation("create an item", vec![], |_| Command::CreateItem(item(3))),
        operation("update an item", vec![], |fixture| Command::UpdateItem(fixture.item(0), item(4))),
        operation("delete an item in use", vec![], |fixture| Command::DeleteItem(fixture.item(0))),
        operation("delete an item", vec![delete_item()[0]], |fixture| Command::DeleteItem(fixture.item(0))),
        operation("increase stock", vec![], |fixture| Command::AdjustStock(fixture.item(0), Adjust::By(5))),
        operation("decrease stock", vec![], |fixture| Command::AdjustStock(fixture.item(0), Adjust::By(-5))),
        operation("decrease stock below zero", vec![], |fixture| {
            Command::AdjustStock(fixture.item(0), Adjust::By(-50))
        }),
        operation("set stock to a counted level", vec![], |fixture| {
            Command::AdjustStock(fixture.item(0), Adjust::To(7, Some(10)))
        }),
    ]
}

/// Removes the stock of the first item and deletes it.
fn delete_item() -> Vec<Make> {
    vec![|fixture| Command::AdjustStock(fixture.item(0), Adjust::To(0, None)), |fixture| {
        Command::DeleteItem(fixture.item(0))
    }]
}

fn sales() -> Vec<Operation> {
    let create: Make = |fixture| fixture.sale(&[(0, 3), (1, 4)]);
    let large: Make = |fixture| fixture.sale(&[(0, 30), (1, 4)]);
    let confirm: Make = |fixture| fixture.sales(0, Transition::Confirm);
    let pay: Make = |fixture| fixture.sales(0, Transition::Pay);
    let cancel: Make = |fixture| fixture.sales(0, Transition::Cancel);
    vec![
        operation("create a sales order", vec![], create),
        operation("update a sales order", vec![create], |fixture| {
            let order = fixture.order(OrderKind::Sales, 0);
            Command::UpdateOrder(
                OrderKind::Sales,
                order,
                fixture.party(PartyKind::Customer),
                fixture.lines(&[(1, 2)]),
            )
        }),
        operation("confirm a sales order: allocated", vec![create], confirm),
        operation(
            "confirm a sales order with two lines of one item",
            vec![|fixture| fixture.sale(&[(0, 3), (0, 4)])],
            confirm,
        ),
        operation("confirm a sales order: back-ordered", vec![large], confirm),
        operation("confirm a sales order that requires stock", vec![create], |fixture| {
            Command::Advance(OrderKind::Sales, fixture.order(OrderKind::Sales, 0), Transition::Confirm, true)
        }),
        operation("fail to confirm a sales order that requires stock", vec![large], |fixture| {
            Command::Advance(OrderKind::Sales, fixture.order(OrderKind::Sales, 0), Transition::Confirm, true)
        }),
        operation("confirm a confirmed sales order", vec![create, confirm], confirm),
        operation("pay a sales order", vec![create, confirm], pay),
        operation("cancel a draft sales order", vec![create], cancel),
        operation("cancel an allocated sales order", vec![create, confirm], cancel),
        operation("cancel a back-ordered sales order", vec![large, confirm], cancel),
        operation(
            "fail to confirm a sales order of a deleted customer",
            vec![create, |fixture| {
                Command::DeleteParty(PartyKind::Customer, fixture.party(PartyKind::Customer))
            }],
            confirm,
        ),
        operation(
            "confirm a sales order with a deleted item",
            [vec![create], delete_item()].concat(),
            confirm,
        ),
        operation(
            "cancel a back-ordered sales order with a deleted item",
            [vec![create], delete_item(), vec![confirm]].concat(),
            cancel,
        ),
    ]
}

fn purchases() -> Vec<Operation> {
    let create: Make = |fixture| fixture.purchase(&[(0, 5), (1, 6)]);
    let receive: Make = |fixture| fixture.purchases(0, Transition::Receive);
    vec![
        operation("create a purchase order", vec![], create),
        operation("update a purchase order", vec![create], |fixture| {
            let order = fixture.order(OrderKind::Purchase, 0);
            Command::UpdateOrder(
                OrderKind::Purchase,
                order,
                fixture.party(PartyKind::Vendor),
                fixture.lines(&[(1, 2)]),
            )
        }),
        operation("receive a purchase order", vec![create], receive),
        operation(
            "receive a purchase order with a deleted item",
            [vec![create], delete_item()].concat(),
            receive,
        ),
        operation(
            "fail to receive a purchase order of a deleted vendor",
            vec![create, |fixture| Command::DeleteParty(PartyKind::Vendor, fixture.party(PartyKind::Vendor))],
            receive,
        ),
        operation("pay a purchase order", vec![create, receive], |fixture| {
            fixture.purchases(0, Transition::Pay)
        }),
        operation("cancel a purchase order", vec![create], |fixture| {
            fixture.purchases(0, Transition::Cancel)
        }),
    ]
}

/// Received or released stock fulfils back-orders.
fn backorders() -> Vec<Operation> {
    let takes_most: Make = |fixture| fixture.sale(&[(0, 8)]);
    let large: Make = |fixture| fixture.sale(&[(0, 6), (1, 1)]);
    let first: Make = |fixture| fixture.sales(0, Transition::Confirm);
    let second: Make = |fixture| fixture.sales(1, Transition::Confirm);
    let each: Make = |fixture| fixture.sale(&[(0, 3)]);
    let third: Make = |fixture| fixture.sales(2, Transition::Confirm);
    let fourth: Make = |fixture| fixture.sales(3, Transition::Confirm);
    vec![
        operation(
            "increase stock: a back-order is fulfilled",
            vec![large, takes_most, second, first],
            |fixture| Command::AdjustStock(fixture.item(0), Adjust::By(5)),
        ),
        operation(
            "increase stock: back-orders are fulfilled by several messages",
            vec![takes_most, first, each, second, each, third, each, fourth],
            |fixture| Command::AdjustStock(fixture.item(0), Adjust::By(10)),
        ),
        operation(
            "cancel a sales order: a back-order is fulfilled",
            vec![takes_most, first, large, second],
            |fixture| fixture.sales(0, Transition::Cancel),
        ),
        operation(
            "receive a purchase order: a back-order is fulfilled",
            vec![takes_most, first, large, second, |fixture| fixture.purchase(&[(0, 5)])],
            |fixture| fixture.purchases(0, Transition::Receive),
        ),
        operation(
            "confirm a sales order behind back-orders",
            vec![takes_most, first, large, second, |fixture| fixture.sale(&[(0, 1)])],
            |fixture| fixture.sales(2, Transition::Confirm),
        ),
    ]
}

fn sweeps() -> Vec<Operation> {
    let confirm: Make = |fixture| fixture.sales(0, Transition::Confirm);
    let sweep = |name, preparation, command| Operation { name, preparation, command, by_sweep: true };
    vec![
        sweep(
            "sweep a confirmation after its stream record expired",
            vec![|fixture| fixture.sale(&[(0, 3)])],
            confirm,
        ),
        sweep("sweep a new customer after its stream record expired", vec![], |_| {
            Command::CreateParty(PartyKind::Customer, party(5))
        }),
    ]
}
