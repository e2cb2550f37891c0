//! Frames give every packet back.

use std::collections::HashMap;

use bytes::Bytes;
use pitt_alert::frame::{self, Frame, FrameKind};

use crate::packets::{ZTF, container, ztf_datum};
use crate::{real, reference};

#[test]
fn every_real_packet_is_joined_byte_for_byte() {
    let (Some(data), Some(python)) = (real::data(), real::python()) else {
        return;
    };
    let schemas = real::lsst_schemas(&data);
    let (mut child, mut source) =
        reference::start(&python, &["packets", &data.display().to_string()]);
    let mut headers = HashMap::new();
    let (mut containers, mut others, mut whole, mut kept) = (0, 0, 0, 0);
    while let Some(expected) = reference::next(&mut source, &schemas) {
        let packet = expected.packet.bytes;
        let frame = frame::split(&packet);
        let stored = Frame {
            header: Bytes::new(),
            ..frame.clone()
        };
        let header = match frame.header_id {
            Some(id) => headers.entry(id).or_insert(frame.header.clone()).clone(),
            None => Bytes::new(),
        };
        assert_eq!(
            frame::join(&stored, &header),
            packet,
            "{}",
            expected.packet.name
        );
        *(if frame.kind == FrameKind::Container {
            &mut containers
        } else {
            &mut others
        }) += 1;
        whole += packet.len();
        kept += frame.body.len();
    }
    assert!(child.wait().expect("Python ends").success());
    println!(
        "{containers} containers under {} headers and {others} others: {whole} bytes, {kept} kept",
        headers.len()
    );
    assert!(containers >= 2_800 && others >= 20);
}

#[test]
fn containers_of_several_blocks_are_joined() {
    let packet = container(
        ZTF,
        "deflate",
        &[
            (1, ztf_datum(1)),
            (2, [ztf_datum(2), ztf_datum(3)].concat()),
        ],
    );
    let frame = frame::split(&packet);
    assert_eq!(frame.kind, FrameKind::Container);
    assert_eq!(frame::join(&frame, &frame.header), packet);
    let cut = packet.slice(..packet.len() - 1);
    assert_eq!(frame::split(&cut).kind, FrameKind::Plain);
    assert_eq!(frame::join(&frame::split(&cut), b""), cut);
}
