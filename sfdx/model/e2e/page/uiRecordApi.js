// Stands for lightning/uiRecordApi: getRecord as a wire adapter over one cache,
// refreshed by notifyRecordUpdateAvailable (Lightning Web Components Developer
// Guide, "lightning/uiRecordApi").
const live = new Set();

async function load(recordId, fields) {
  const answer = await fetch(`/record/${recordId}?fields=${fields.map((f) => f.fieldApiName).join()}`);
  return answer.ok ? { data: await answer.json(), error: undefined } : { data: undefined, error: await answer.json() };
}

export class getRecord {
  constructor(emit) {
    this.emit = emit;
    emit({ data: undefined, error: undefined });
  }
  connect() {
    live.add(this);
  }
  disconnect() {
    live.delete(this);
  }
  update({ recordId, fields = [], optionalFields = [] }) {
    this.config = recordId ? { recordId, fields: [...fields, ...optionalFields] } : undefined;
    return this.refresh();
  }
  async refresh() {
    if (this.config) this.emit(await load(this.config.recordId, this.config.fields));
  }
}

export const getFieldValue = (record, field) => record.fields[field.fieldApiName]?.value;

export async function notifyRecordUpdateAvailable(records) {
  await Promise.all(
    [...live].filter((a) => records.some((r) => r.recordId === a.config?.recordId)).map((a) => a.refresh())
  );
}
