// Who may do what: profiles of the model, and the package's permission sets.
// Sharing of single records is not modelled beyond `hide`.
import { NotModelled } from "./errors.mjs";
import { lower } from "./values.mjs";

const all = { read: true, create: true, edit: true, delete: true };
const read = { read: true, create: false, edit: false, delete: false };
const sales = { order: all, orderitem: all, account: all, product2: read, pricebook2: read, pricebookentry: read };

/**
 * Profiles as the model has them: objects, whether standard fields come with
 * them, whether every class does. No profile knows a field of the package: a
 * deployment grants none (Metadata API Developer Guide, "CustomField").
 */
export const PROFILES = {
  "System Administrator": {
    objects: Object.fromEntries(Object.keys(sales).map((k) => [k, all])),
    standardFields: true,
    classes: true,
    manageUsers: true
  },
  "Standard User": { objects: sales, standardFields: true },
  "Minimum Access - Salesforce": { objects: {}, standardFields: false },
  "Minimum Access - API Only Integrations": { objects: {}, standardFields: false }
};

export class Access {
  constructor(org) {
    this.org = org;
    this.hidden = new Set(); // ids that the running user's sharing hides
    this.cache = new Map();
  }

  /** Profile and permission sets of a user. */
  of(user) {
    const key = `${user}:${this.org.database.version("PermissionSetAssignment")}`;
    if (!this.cache.has(key)) this.cache.set(key, this.load(user));
    return this.cache.get(key);
  }

  load(user) {
    const { database, project } = this.org;
    const row = database.table("User").get(user);
    const profile = PROFILES[database.table("Profile").get(row.get("ProfileId"))?.get("Name")];
    if (!profile) throw new NotModelled(`the profile of user ${user}`);
    const sets = [...database.table("PermissionSetAssignment").values()]
      .filter((a) => a.get("AssigneeId") === user)
      .map((a) =>
        project.permissionSets.get(database.table("PermissionSet").get(a.get("PermissionSetId")).get("Name"))
      );
    return { profile, sets };
  }

  objectMay(object, what, user = this.org.user) {
    if (object.setup || object.virtual) return what === "read" || this.of(user).profile.manageUsers === true;
    const { profile, sets } = this.of(user);
    const key = lower(object.name);
    return Boolean(profile.objects[key]?.[what]) || sets.some((s) => s.objects.get(key)?.[what]);
  }

  /**
   * Field-level security. Required fields and system fields have none
   * (Salesforce Help, "What Determines Field Access?").
   */
  fieldMay(object, field, what) {
    if (object.setup || object.virtual || field.open || field.required) return what === "read" || !field.fixed;
    const { profile, sets } = this.of(this.org.user);
    if (field.standard && profile.standardFields && profile.objects[lower(object.name)]?.read)
      return what === "read" || !field.fixed;
    const key = `${lower(object.name)}.${lower(field.name)}`;
    return sets.some((s) => s.fields.get(key)?.[what]);
  }

  /** Refuses a query in user mode that names what the user may not read. */
  mustRead(object, paths) {
    if (!this.objectMay(object, "read"))
      this.org.raise("QueryException", `sObject type '${object.name}' is not supported.`);
    for (const p of paths) {
      for (const s of p.steps) this.mustReadField(s.object, s.field);
      if (!this.objectMay(p.object, "read"))
        this.org.raise("QueryException", `sObject type '${p.object.name}' is not supported.`);
      this.mustReadField(p.object, p.field);
    }
  }

  mustReadField(object, field) {
    if (!this.fieldMay(object, field, "read"))
      this.org.raise("QueryException", `No such column '${field.name}' on entity '${object.name}'.`);
  }

  some(kind, name) {
    return this.of(this.org.user).sets.some((s) => s[kind].has(lower(name)));
  }

  /** Whether an entry of Lightning may call a class (Apex Developer Guide, "Apex Class Security"). */
  classMay(name) {
    return this.of(this.org.user).profile.classes === true || this.some("classes", name);
  }

  /** A hidden record is not there in user mode and under `with sharing`. */
  hide(id) {
    this.hidden.add(id);
  }
}
