/** Ways to follow a filter, ready to copy. `origin` is where the pages come from. */
export function followCode(name: string, origin: string, topic: string | null | undefined, secured: boolean): { how: string; text: string }[] {
  const address = `${origin}/api/v1/filters/${encodeURIComponent(name)}/events`;
  const header = secured ? ` -H "Authorization: Bearer $PITT_TOKEN"` : '';
  const ways = [
    { how: 'Terminal', text: `curl -N${header} "${address}?after=0"` },
    {
      how: 'Python',
      text: `import json, requests

headers = {${secured ? '"Authorization": f"Bearer {token}"' : ''}}
with requests.get("${address}", headers=headers, stream=True) as stream:
    for line in stream.iter_lines(decode_unicode=True):
        if line.startswith("data:"):
            match = json.loads(line[5:])
            print(match["object_id"], match["mag"])`,
    },
    {
      how: 'SQL',
      text: `SELECT alert_id, matched_us FROM matches WHERE filter = '${name.replaceAll("'", "''")}' ORDER BY matched_us DESC`,
    },
  ];
  if (topic) {
    ways.push({
      how: 'Kafka',
      text: `from confluent_kafka import Consumer

consumer = Consumer({"bootstrap.servers": "SERVERS", "group.id": "mine", "auto.offset.reset": "earliest"})
consumer.subscribe(["${topic}"])
while True:
    message = consumer.poll(1.0)
    if message and not message.error():
        print(message.key(), message.value())`,
    });
  }
  return ways;
}
