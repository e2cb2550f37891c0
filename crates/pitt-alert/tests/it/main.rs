//! Integration tests of `pitt-alert`: real packets where they are at hand (`PITT_TEST_DATA`), generated ones everywhere.

mod real;
mod reference;
mod values;
