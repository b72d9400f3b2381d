// The standard objects and fields that the package meets
// (Object Reference for the Salesforce Platform, one page an object). A name
// that is neither here nor in the package's field files does not exist.
import { NotModelled } from "./errors.mjs";
import { lower } from "./values.mjs";

/*
 * flags of a field: `required` on insert, which also takes it out of
 * field-level security (Salesforce Help, "Field-Level Security": required
 * fields are always visible); `open`: readable without it (system fields, names);
 * `fixed`: not writable; `to`: the object and the relationship that it points by.
 */
const field = (type, more = {}) => ({ type, ...more });
const system = {
  CreatedDate: field("Datetime", { fixed: true, open: true }),
  CreatedById: field("Id", { fixed: true, open: true, to: ["User", "CreatedBy"] }),
  LastModifiedDate: field("Datetime", { fixed: true, open: true }),
  LastModifiedById: field("Id", { fixed: true, open: true, to: ["User", "LastModifiedBy"] }),
  SystemModstamp: field("Datetime", { fixed: true, open: true })
};
const name = (more = {}) => field("String", { length: 255, open: true, required: true, ...more });

const STANDARD = {
  Order: {
    prefix: "801",
    fields: {
      ...system,
      OrderNumber: field("String", { fixed: true, open: true }),
      AccountId: field("Id", { required: true, to: ["Account", "Account"] }),
      Status: field("Picklist", { values: ["Draft", "Activated"], required: true }),
      StatusCode: field("String", { fixed: true, open: true }),
      EffectiveDate: field("Date", { required: true }),
      OwnerId: field("Id", { open: true, to: ["User", "Owner"] }),
      Pricebook2Id: field("Id", { to: ["Pricebook2", "Pricebook2"] }),
      // No profile or permission set in public names this field or Product2Id of
      // OrderItem; the model takes both for readable, an org has the last word.
      IsReductionOrder: field("Boolean", { fixed: true, open: true }),
      OriginalOrderId: field("Id", { to: ["Order", "OriginalOrder"] }),
      Type: field("String"),
      TotalAmount: field("Decimal", { fixed: true })
    },
    children: { OrderItems: ["OrderItem", "OrderId"] }
  },
  OrderItem: {
    prefix: "802",
    fields: {
      ...system,
      OrderId: field("Id", { required: true, to: ["Order", "Order"] }),
      OrderItemNumber: field("String", { fixed: true, open: true }),
      PricebookEntryId: field("Id", { required: true, to: ["PricebookEntry", "PricebookEntry"] }),
      Product2Id: field("Id", { open: true, to: ["Product2", "Product2"] }),
      Quantity: field("Decimal", { required: true }),
      UnitPrice: field("Decimal", { required: true }),
      OriginalOrderItemId: field("Id", { to: ["OrderItem", "OriginalOrderItem"] })
    }
  },
  Account: {
    prefix: "001",
    fields: { ...system, Name: name(), OwnerId: field("Id", { open: true, to: ["User", "Owner"] }) }
  },
  Product2: {
    prefix: "01t",
    fields: { ...system, Name: name(), IsActive: field("Boolean"), ProductCode: field("String") }
  },
  Pricebook2: {
    prefix: "01s",
    fields: { ...system, Name: name(), IsActive: field("Boolean"), IsStandard: field("Boolean", { fixed: true }) }
  },
  PricebookEntry: {
    prefix: "01u",
    fields: {
      ...system,
      Pricebook2Id: field("Id", { required: true, to: ["Pricebook2", "Pricebook2"] }),
      Product2Id: field("Id", { required: true, to: ["Product2", "Product2"] }),
      UnitPrice: field("Decimal", { required: true }),
      IsActive: field("Boolean"),
      UseStandardPrice: field("Boolean")
    }
  },
  User: {
    prefix: "005",
    setup: true,
    fields: {
      ...system,
      Name: field("String", { fixed: true, open: true }),
      FirstName: field("String", { open: true }),
      LastName: name(),
      Username: name(),
      Email: field("String", { open: true, required: true }),
      Alias: field("String", { open: true, required: true, length: 8 }),
      ProfileId: field("Id", { open: true, required: true, to: ["Profile", "Profile"] }),
      IsActive: field("Boolean", { open: true }),
      TimeZoneSidKey: field("String", { open: true, required: true }),
      LocaleSidKey: field("String", { open: true, required: true }),
      EmailEncodingKey: field("String", { open: true, required: true }),
      LanguageLocaleKey: field("String", { open: true, required: true })
    }
  },
  Profile: { prefix: "00e", setup: true, fields: { Name: name() } },
  PermissionSet: { prefix: "0PS", setup: true, fields: { Name: name(), Label: field("String", { open: true }) } },
  PermissionSetAssignment: {
    prefix: "0Pa",
    setup: true,
    fields: {
      AssigneeId: field("Id", { open: true, required: true, to: ["User", "Assignee"] }),
      PermissionSetId: field("Id", { open: true, required: true, to: ["PermissionSet", "PermissionSet"] })
    }
  },
  Group: {
    prefix: "00G",
    setup: true,
    fields: { Name: name(), DeveloperName: field("String", { open: true }), Type: field("String", { open: true }) }
  },
  CustomNotificationType: {
    prefix: "0ML",
    setup: true,
    fields: { DeveloperName: field("String", { open: true }), MasterLabel: field("String", { open: true }) }
  },
  CronJobDetail: { prefix: "08a", setup: true, fields: { Name: name() } },
  CronTrigger: {
    prefix: "08e",
    setup: true,
    fields: {
      CronJobDetailId: field("Id", { open: true, to: ["CronJobDetail", "CronJobDetail"] }),
      CronExpression: field("String", { open: true }),
      State: field("String", { open: true })
    }
  },
  UserRecordAccess: {
    prefix: "",
    virtual: true,
    fields: {
      UserId: field("Id", { open: true }),
      RecordId: field("Id", { open: true }),
      HasReadAccess: field("Boolean", { open: true }),
      HasEditAccess: field("Boolean", { open: true })
    }
  },
  Organization: {
    prefix: "00D",
    setup: true,
    fields: { Name: name(), IsSandbox: field("Boolean", { open: true }), InstanceName: field("String", { open: true }) }
  },
  StaticResource: { prefix: "081", setup: true, fields: { Name: name(), Body: field("Blob", { open: true }) } }
};

/** The objects of an org with the package's own fields, by lower-case name. */
export class Schema {
  constructor() {
    this.objects = new Map();
    for (const [object, d] of Object.entries(STANDARD)) {
      this.objects.set(lower(object), {
        name: object,
        custom: false,
        prefix: d.prefix,
        setup: d.setup ?? false,
        virtual: d.virtual ?? false,
        children: d.children ?? {},
        fields: new Map()
      });
      this.add(object, { name: "Id", type: "Id", open: true, fixed: true });
      for (const [n, f] of Object.entries(d.fields)) this.add(object, { name: n, standard: true, ...f });
    }
  }

  add(object, f) {
    const o = this.objects.get(lower(object));
    if (!o) throw new NotModelled(`object ${object}`);
    o.fields.set(lower(f.name), f);
  }

  object(name) {
    return this.objects.get(lower(name)) ?? null;
  }

  field(object, name) {
    return this.object(object)?.fields.get(lower(name)) ?? null;
  }

  /** The lookup field behind a relationship: Account for AccountId, Parent__r for Parent__c. */
  relationship(object, name) {
    for (const f of this.object(object).fields.values()) if (f.to && lower(f.to[1]) === lower(name)) return f;
    return null;
  }
}
