//! What roles open over the API, as tables of requests by users of different roles.

mod world;

mod resources;

mod reach;

mod changes;

mod management;

mod scopes;

mod secrets;

mod matrix;

mod refusals;
