import { part, type Row } from './api';

/** Where a row of an API table leads, or one value of it. */
export function rowLink(row: Row, column?: string): string | null {
  const { object_id: object, alert_id: alert, survey, filter } = row;
  if (column === 'filter' && filter) return `/filters/${part(filter)}`;
  if (column === 'object_id' || (!column && object)) return object ? `/object/${part(object)}` : null;
  if (column === 'alert_id' || column === 'last_alert_id' || (!column && alert)) {
    const id = column === 'last_alert_id' ? row['last_alert_id'] : alert;
    return id ? `/alert/${part(id)}${survey ? `?survey=${part(survey)}` : ''}` : null;
  }
  return null;
}
